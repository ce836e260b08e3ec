"""Sees from another process what blocks the event loop of a server, says who it was, and puts it on record."""
