"""Read models: followed, rebuilt beside the live one, promoted, and read."""

from pathlib import Path

from app.amends.store.sql import statements

SQL = statements("projections.sql", Path(__file__).parent / "sql")
