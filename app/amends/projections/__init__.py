"""Read models: kept up to date by runners, rebuilt beside the live build, promoted, and read."""

from pathlib import Path

from app.amends.postgres.sql_files import load_statements

SQL = load_statements(Path(__file__).with_name("projections.sql"))
