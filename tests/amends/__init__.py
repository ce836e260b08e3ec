"""Amends' own tests: they need nothing of the example."""
