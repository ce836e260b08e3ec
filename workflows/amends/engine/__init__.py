"""Runs a saga, compensates it, and suspends it for an operator; it knows no DBOS and no database."""
