"""The feed: all events in one order that later commits never change, and those who follow it."""

from pathlib import Path

from app.amends.postgres.sql_files import statements

SQL = statements(Path(__file__).with_name("feed.sql"))
