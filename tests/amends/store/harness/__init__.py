"""Stores, sagas, read models and steps without a server, and a database in trouble."""
