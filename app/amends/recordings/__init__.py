"""Recordings of sagas as files: read for a check without a database, and exported without values that are marked."""
