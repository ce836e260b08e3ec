"""Amends' own branch of migrations."""
