"""Whether recordings of sagas fit the code at hand, found out by a replay that has no effects."""
