"""Sagas that start others."""
