"""The feed as a read model reads it: page by page, with the events of its types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.rows import TupleRow

from app.amends.postgres.statements.reader import Reader
from app.amends.projections import SQL
from app.amends.projections.builds import types_of
from domain.amends.event import EventType
from domain.amends.projection import Projection, Recorded
from domain.amends.vocabulary import NewerEvent
from workflows.amends.ports.event_store import FeedCursor, read_event


@dataclass(frozen=True)
class FeedPage:
    """A page of the feed: the rows of events that the read model reads, and its end; None if nothing is new."""

    rows: Sequence[TupleRow]
    end: FeedCursor | None
    full: bool
    """Whether the next page may have events already."""
    run: int | None = None
    """The run of the server in which it was read."""


class NewerReader(NewerEvent):
    """Other code of version {version} of this read model reads {name}, which this code does not know: {problem}"""


class ProjectionFeed:
    """The feed as one projection reads it."""

    def __init__(self, projection: Projection[Any, Any], build: int, reader: Reader) -> None:
        self._projection, self._build, self._reader = projection, build, reader
        self.types = types_of(projection)

    async def after(self, cursor: FeedCursor, limit: int) -> FeedPage:
        """The next page of so many events of all types.

        Raises NewerReader where other code reads events for this build that this code would pass over.
        """
        wanted = cursor._asdict() | {"transaction_id": str(cursor.transaction_id), "types": self.types, "limit": limit}
        of = {"name": self._projection.name, "build": self._build}
        rows = await self._reader.tuples(SQL["page"], wanted | of, patience=None)
        if not rows:
            return FeedPage((), None, False)
        *found, last = rows
        if last[5]:
            raise NewerReader(last[5], self._projection.version, "run that code, or raise the version and rebuild.")
        return FeedPage(found, FeedCursor(*last[:3]), last[4] >= limit, int(last[7]))


def recorded_event(projection: Projection[Any, Any], row: TupleRow) -> Recorded[Any]:
    """An event as a projection sees it. Raises Unreadable."""
    _, _, _, stream, version, name, schema_version, data, at = row
    event = read_event(projection.vocabulary, EventType(name, schema_version), data)
    return Recorded(event, stream, projection.own_key(stream) or stream, version, at)
