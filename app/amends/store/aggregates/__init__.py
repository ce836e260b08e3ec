"""Aggregates: loaded, decided about, undone, and seen at any point in time."""

from pathlib import Path

from app.amends.postgres.sql_files import statements

SQL = statements(Path(__file__).with_name("aggregates.sql"))
