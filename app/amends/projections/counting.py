"""Counts the events that a build will take, beside its runner: the progress of a rebuild is known by that."""

from __future__ import annotations

from collections.abc import Sequence

from app.amends.postgres.statements.reader import Reader
from app.amends.projections import SQL
from workflows.amends.ports.event_store import START, FeedCursor

SLICE = 500_000
"""Events that one statement counts: it is short, whatever the size of the store."""


async def count_events(reader: Reader, types: Sequence[str], slice: int = SLICE) -> int:
    """The number of events of these types."""
    return sum([await _count(reader, type, slice) for type in types])


async def _count(reader: Reader, type: str, slice: int) -> int:
    counted, cursor = 0, START
    found: int
    while True:
        after = {"type": type, "limit": slice} | cursor._asdict() | {"transaction_id": str(cursor.transaction_id)}
        found, *end = (await reader.tuples(SQL["count"], after, patience=None))[0]
        counted += found
        if found < slice:
            return counted
        cursor = FeedCursor(*end)
