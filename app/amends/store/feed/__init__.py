"""The feed: all events in one order that later commits never change; its followers, its lag, and losses."""

from pathlib import Path

from app.amends.postgres.sql_files import load_statements

SQL = load_statements(Path(__file__).with_name("feed.sql"))
