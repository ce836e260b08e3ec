"""Sagas, simulated."""
