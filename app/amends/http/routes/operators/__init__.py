"""Routes of what operators do: brakes, and acts on many sagas."""
