"""Servers and databases that die while the example works."""
