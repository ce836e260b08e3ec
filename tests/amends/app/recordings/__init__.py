"""Recordings of sagas, as files and in a database."""
