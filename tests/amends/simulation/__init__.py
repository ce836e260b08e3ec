"""Sagas of every kind in simulated clusters, and what must be true after each history."""
