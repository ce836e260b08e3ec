"""Aggregates as their events make them: now, then, with the last decision taken back."""

from pathlib import Path

from app.amends.postgres.sql_files import statements

SQL = statements(Path(__file__).with_name("aggregates.sql"))
