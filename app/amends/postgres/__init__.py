"""Postgres: which one, brought up to date and looked at, and how statements are sent to it."""
