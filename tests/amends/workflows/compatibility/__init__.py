"""New code and the recordings of old code."""
