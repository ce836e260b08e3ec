"""Connections: opened, borrowed, given back, cut off, and one that watches whether the database answers."""
