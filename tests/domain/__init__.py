"""The business, as pure functions."""
