"""Plays sagas in memory, in milliseconds: time passes at once, and crashes come where a test wants them."""
