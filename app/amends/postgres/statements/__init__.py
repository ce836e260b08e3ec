"""Statements: sent on a connection, and sent again until they are answered."""
