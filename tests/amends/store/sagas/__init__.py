"""Sagas: started, claimed, committed and read."""
