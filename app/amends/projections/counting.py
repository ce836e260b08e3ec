"""Counts the events that a table will take while it is filled: its progress is known, and nobody waits for that."""

from __future__ import annotations

from collections.abc import Sequence

from app.amends.postgres.statements.reader import Reader
from app.amends.projections import SQL
from workflows.amends.ports.event_store import START, FeedCursor

SLICE = 500_000
"""How many events one statement counts: it takes a moment, whatever the size of the store."""


async def count(reader: Reader, types: Sequence[str], slice: int = SLICE) -> int:
    """How many events of these types there are."""
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
