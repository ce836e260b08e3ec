"""Fixtures of these tests."""

from tests.databases import database, database_18, postgres_15, postgres_18, sql

__all__ = ["database", "database_18", "postgres_15", "postgres_18", "sql"]
