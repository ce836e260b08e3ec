"""Connections: made, borrowed, given back, cut off, and one that sees whether the database answers."""
