"""Sagas that are suspended, and why."""
