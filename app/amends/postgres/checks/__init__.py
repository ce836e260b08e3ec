"""Checks of a database before it is used: its version, poolers before it, its durability, and DBOS's tables."""
