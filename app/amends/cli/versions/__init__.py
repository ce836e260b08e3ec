"""Versions of a saga: a new one is made, instances are moved to it, and an old one is deleted when nobody needs it."""
