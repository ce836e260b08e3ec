"""The timeline of a saga: its events a line each, and its steps drawn as bars of time."""
