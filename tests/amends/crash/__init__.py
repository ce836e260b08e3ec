"""Servers that die, block or hang."""
