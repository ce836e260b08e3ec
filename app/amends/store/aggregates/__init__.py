"""Aggregates: loaded, decided about, undone, and seen at any point in time."""

from pathlib import Path

from app.amends.postgres.sql_files import load_statements

SQL = load_statements(Path(__file__).with_name("aggregates.sql"))
