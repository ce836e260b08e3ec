"""Generations of the feed: a backup that is restored into another cluster gets a new one, for transaction ids begin
elsewhere there."""

from __future__ import annotations

from pathlib import Path

import psycopg
from sqlalchemy import URL

from app.amends.postgres.sql_files import load_statements
from app.amends.postgres.urls import connection_settings, conninfo
from domain.amends.errors import StartupError

SQL = load_statements(Path(__file__).with_name("generations.sql"))


def require_current_generation(url: URL) -> None:
    """Raise StartupError if new events would come before old ones, as after a restore into a younger cluster."""
    with psycopg.connect(conninfo(url), **connection_settings(url, "check")) as connection:
        row = connection.execute(SQL["newest"]).fetchone()
    if row is not None and row[0]:
        raise StartupError(
            "The newest event claims a transaction id that this server has not given out yet: the database was "
            "restored from another one, and new events would come before old ones in the feed.",
            'Once it is complete, open a new generation of the feed: ./run amends restored --reason "…".',
        )


def open_generation(url: URL, reason: str) -> int:
    """Open a generation: all events from now on come after all those before; returns its number.

    Needs the owner of the tables, and no running server: it changes a column's default.
    """
    with psycopg.connect(conninfo(url), **connection_settings(url, "generation")) as connection:
        row = connection.execute("select amends.open_generation(%s)", (reason,)).fetchone()
    assert row is not None
    return int(row[0])
