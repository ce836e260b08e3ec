"""What undo and time travel need of a store: the past of one stream, and states of it."""

from __future__ import annotations

from datetime import datetime
from typing import Final, Protocol, TypeVar

from domain.amends.aggregate import Aggregate
from workflows.amends.ports.event_store import FeedCursor, StoredEvent

S = TypeVar("S")
E = TypeVar("E")

NEWEST: Final = 2**31 - 1
"""A version that no stream reaches."""


class StateLoader(Protocol):
    """Loads the state of a stream's aggregate."""

    async def load(self, aggregate: Aggregate[S, E], stream: str, until: int = NEWEST) -> tuple[S, int]:
        """The state after the event with version `until`, and the version that it has; 0 before the first event."""
        ...


class StreamHistory(Protocol):
    """The past of one stream."""

    async def version(self, stream: str) -> int:
        """The version of a stream, 0 if it has no event."""
        ...

    async def read_back(self, stream: str, before: int, limit: int = 1000) -> list[StoredEvent]:
        """Events of one stream with versions below `before`, newest first."""
        ...

    async def parse_cursor(self, token: str | None, field: str = "after") -> FeedCursor:
        """The place that a token or a plain position names. Raises Invalid for anything else."""
        ...

    async def require_on_record(self, cursor: FeedCursor) -> None:
        """Raise WentBack, with the last place before it that stands, if the event of a place is gone."""
        ...

    async def version_at(self, stream: str, at: datetime) -> int:
        """The highest version of a stream that was recorded by an instant."""
        ...

    async def version_at_position(self, stream: str, position: int) -> int:
        """The highest version of a stream up to a position."""
        ...

    async def version_at_cursor(self, stream: str, cursor: FeedCursor) -> int:
        """The highest version of a stream up to a place in the feed."""
        ...

    async def open_saga(self, stream: str) -> str | None:
        """A saga that has written to a stream and is not finished."""
        ...
