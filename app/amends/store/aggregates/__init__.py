"""Aggregates as their events make them: now, then, with the last decision taken back."""
