"""Reading events: one stream, or all of them in an order that never skips one and never changes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from app.store.reader import Reader
from app.store.sql import statements
from domain.errors import Invalid

SQL = statements("events.sql")
_TOKEN = re.compile(r"(\d{1,9})-(\d{1,19})-(\d{1,19})|(\d{1,19})")


@dataclass(frozen=True, order=True)
class Place:
    """A place in the feed. A bare position is not one: events are not ordered by position alone."""

    generation: int = 0
    transaction_id: int = 0
    position: int = 0

    def __str__(self) -> str:
        return f"{self.generation}-{self.transaction_id}-{self.position}"


START = Place()


class Feed:
    """The events in Postgres."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def place(self, token: str | None) -> Place:
        """The place that a token or a plain position names. Raises Invalid for anything else."""
        if not token:
            return START
        match = _TOKEN.fullmatch(token)
        if match is None:
            raise Invalid("after", "is not a position or a token that was given out as `next`")
        if match[4] is None:
            return Place(int(match[1]), int(match[2]), int(match[3]))
        row = await self._reader.row(SQL["place_of"], (int(match[4]),)) if int(match[4]) else {}
        if row is None:
            raise Invalid("after", f"there is no event at position {match[4]}")
        return _place(row) if row else START

    async def events(
        self,
        after: Place,
        limit: int,
        type: str | None = None,
        stream: str | None = None,
        correlation_id: str | None = None,
    ) -> tuple[list[dict[str, Any]], Place]:
        """A page of the feed, and the place to go on from."""
        parameters = {
            "generation": after.generation,
            "transaction_id": str(after.transaction_id),
            "position": after.position,
            "type": type,
            "stream": stream,
            "correlation_id": correlation_id,
            "limit": limit,
        }
        rows = await self._reader.rows(SQL["feed"], parameters)
        return rows, _place(rows[-1]) if rows else after

    async def stream(self, stream: str, after: Place, limit: int) -> tuple[list[dict[str, Any]], Place]:
        """A page of one stream, oldest first, and the place to go on from."""
        parameters = {"stream": stream, "after": after.position, "limit": limit}
        rows = await self._reader.rows(SQL["stream"], parameters)
        return rows, _place(rows[-1]) if rows else after

    async def version(self, stream: str) -> int:
        """The version of a stream, 0 if it has no event."""
        row = await self._reader.row(SQL["stream_version"], (stream,))
        return int(row["version"]) if row else 0

    async def last(self, stream: str) -> Place:
        """The place of a stream's newest event."""
        row = await self._reader.row(SQL["last_of_stream"], (stream,))
        return _place(row) if row else START


def _place(row: dict[str, Any]) -> Place:
    return Place(row["generation"], int(row["transaction_id"]), row["position"])
