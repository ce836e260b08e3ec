"""Checks what a server promises: commits that are on disk, whole pages, and a right clock."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, dict_row

from app.amends.postgres.sql_files import load_statements
from app.amends.postgres.statements.reader import Reader
from domain.amends.errors import Contended, Unavailable

log = logging.getLogger("amends.store")

SQL: Final = load_statements(Path(__file__).with_name("durability.sql"))
APART_SECONDS: Final = 2.0
"""How far the database's clock may be from this machine's, and how far it may jump, in seconds."""
LOOK_SECONDS: Final = 5.0
WHERE: Final = {
    "user": "for the role {user} (alter role … reset {name})",
    "database": "for the database (alter database … reset {name})",
    "database user": "for the role {user} in this database (alter role … in database … reset {name})",
    "client": "by the URL or PGOPTIONS",
}
"""The sources of a setting, by Postgres's names, for people; any other source is the server's configuration."""


async def read_durability(reader: Reader) -> tuple[dict[str, Any], list[str], float]:
    """The server's settings, the doubts about them, and how far its clock is ahead. Raises Unavailable."""
    before = time.time()
    row = await reader.row(SQL["durability"], ())
    assert row is not None
    return row, settings_doubts(row), _apart(row, before, time.time())


async def warn_of_doubts(session: AsyncConnection[TupleRow]) -> None:
    """Log each doubt about the server as a warning."""
    before = time.time()
    row = await (await session.cursor(row_factory=dict_row).execute(SQL["durability"])).fetchone()
    assert row is not None
    for doubt in durability_doubts(row, before, time.time()):
        log.warning("%s", doubt)


def durability_doubts(row: Mapping[str, Any], before: float, after: float) -> list[str]:
    """The doubts about a server whose clock was read between two readings of our own."""
    doubt = clock_doubt(_apart(row, before, after))
    return [*settings_doubts(row), *([doubt] if doubt else [])]


def settings_doubts(row: Mapping[str, Any]) -> list[str]:
    """The doubts about a server's settings."""
    found = []
    if row["synchronous_commit"] == "off":
        found.append(
            f"synchronous_commit is off, set {_where(row)}: what was acknowledged is lost when Postgres dies, "
            "and outside calls are made that nobody remembers."
        )
    if row["fsync"] == "off":
        found.append("fsync is off on the server: a crash of its machine may destroy the database.")
    if row["full_page_writes"] == "off":
        found.append("full_page_writes is off on the server: a crash of its machine may leave pages half written.")
    return found


def clock_doubt(apart: float) -> str | None:
    """The doubt about a clock that is so many seconds ahead of ours; None if it is right."""
    if abs(apart) <= APART_SECONDS:
        return None
    return (
        f"The database's clock is {_seconds(apart, 'ahead of', 'behind')} this machine's: timers, deadlines and "
        "the times of events go by the database's. Let both follow the same time server."
    )


async def watch_clock(reader: Reader) -> None:
    """Warn when the database's clock jumps, for timers and deadlines go by it; runs until it is cancelled."""
    last: tuple[float, float, float] | None = None
    while True:
        before = time.monotonic()
        try:
            row = await reader.row(SQL["clock"], ())
        except (Unavailable, Contended):
            row = None
        after = time.monotonic()
        if row is not None:
            now = (row["clock"], before, after)
            if last is not None and abs(jumped := clock_jump(last, now)) > APART_SECONDS:
                log.warning(
                    "The clock of the database was set %s where it was, to %s: timers and deadlines go by it.",
                    _seconds(jumped, "ahead of", "back behind"),
                    datetime.fromtimestamp(row["clock"], UTC).isoformat(" ", "seconds"),
                )
            last = now
        await asyncio.sleep(LOOK_SECONDS)


def clock_jump(last: tuple[float, float, float], now: tuple[float, float, float]) -> float:
    """The seconds by which a clock has gone ahead (or back, below 0) of the time that can have passed between two
    readings.

    Each reading is that clock's, and our own steady clock's before and after it was read.
    """
    passed = now[0] - last[0]
    return passed - min(max(passed, now[1] - last[2]), now[2] - last[1])


def _apart(row: Mapping[str, Any], before: float, after: float) -> float:
    """How far a clock that was read between two readings of ours is ahead of it at least."""
    return float(row["clock"] - min(max(row["clock"], before), after))


def _where(row: Mapping[str, Any]) -> str:
    named = WHERE.get(row["synchronous_commit_source"], "in the server's configuration")
    return named.format(user=row["login"], name="synchronous_commit")


def _seconds(apart: float, ahead: str, behind: str) -> str:
    return f"{abs(apart):,.0f} s {ahead if apart > 0 else behind}"
