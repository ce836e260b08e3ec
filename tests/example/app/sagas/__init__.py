"""Sagas and read models on running servers."""
