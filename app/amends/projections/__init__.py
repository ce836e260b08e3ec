"""Read models: followed, rebuilt beside the live one, promoted, and read."""

from pathlib import Path

from app.amends.postgres.sql_files import statements

SQL = statements(Path(__file__).with_name("projections.sql"))
