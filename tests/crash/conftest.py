"""Fixtures of these tests."""

from tests.databases import cluster, database, database_18, postgres_15, postgres_18, sql

__all__ = ["cluster", "database", "database_18", "postgres_15", "postgres_18", "sql"]
