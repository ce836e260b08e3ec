"""The commands that replay recordings of sagas: a check of new code against them, and their export."""
