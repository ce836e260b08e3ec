"""Databases that die, stand still, or lose commits."""
