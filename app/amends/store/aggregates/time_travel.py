"""Time travel: the state of an aggregate at a version, at a place in the feed, or at an instant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.amends.store.aggregates.difference import Change, differences
from domain.amends.aggregate import Aggregate
from domain.amends.errors import Invalid, NotFound
from workflows.amends.ports.event_store import FeedCursor
from workflows.amends.ports.stream_history import StateLoader, StreamHistory
from workflows.amends.values.codec import dump

Any_ = Aggregate[Any, Any]


@dataclass(frozen=True)
class PointInTime:
    """A point in a stream's history: at most one of these; without any it is now."""

    version: int | None = None
    position: str | None = None
    at: datetime | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("version", "position", "at") if getattr(self, name) is not None]
        if len(given) > 1:
            raise Invalid(given[1], f"cannot be asked for together with {given[0]}: give one of them")
        if self.version is not None and (type(self.version) is not int or self.version < 0):
            raise Invalid("version", f"must be a whole number that is not negative, but is {self.version!r}")
        if self.position == "":
            raise Invalid("position", "is empty")
        if self.at is not None and self.at.tzinfo is None:
            raise Invalid("at", "must say its offset from UTC, such as 2026-01-31T12:00:00Z")


@dataclass(frozen=True)
class StateAt:
    """A state as plain JSON data, and the newest event that it comes from."""

    stream: str
    version: int
    cursor: FeedCursor
    recorded_at: datetime
    state: Any


class TimeTravel:
    """States of any point in time, folded from the same events as those of now."""

    def __init__(self, events: StreamHistory, loader: StateLoader) -> None:
        self._events, self._loader = events, loader

    async def state(self, aggregate: Any_, stream: str, point: PointInTime) -> StateAt:
        """The state at a point. Raises NotFound before the first event, and for a version that is not reached yet."""
        version = await self._version(stream, point)
        if version == 0:
            raise NotFound("state", stream, "Its first event was not recorded by then." if _past(point) else "")
        return await self._state(aggregate, stream, version)

    async def difference(
        self, aggregate: Any_, stream: str, before: PointInTime, after: PointInTime
    ) -> tuple[StateAt | None, StateAt, list[Change]]:
        """Both states and their differences; before its first event a stream has no state."""
        version = await self._version(stream, before)
        then = await self._state(aggregate, stream, version) if version else None
        now = await self.state(aggregate, stream, after)
        return then, now, list(differences(then.state if then else None, now.state))

    async def _state(self, aggregate: Any_, stream: str, version: int) -> StateAt:
        state, _ = await self._loader.load(aggregate, stream, version)
        (event,) = await self._events.read_back(stream, version + 1, 1)
        return StateAt(stream, version, event.cursor, event.recorded_at, dump(state, aggregate.state_type))

    async def _version(self, stream: str, point: PointInTime) -> int:
        if point.at is not None:
            return await self._events.version_at(stream, point.at)
        if point.position is not None:
            return await self._version_at_position(stream, point.position)
        newest = await self._events.version(stream)
        if point.version is None or point.version == newest:
            return newest
        if not 0 <= point.version <= newest:
            raise NotFound("state", f"{stream} at version {point.version}", f"It is at version {newest}.")
        return point.version

    async def _version_at_position(self, stream: str, position: str) -> int:
        """The version at a position, resolved through its event; a position without an event is a gap, and bounds
        positions alone."""
        try:
            cursor = await self._events.parse_cursor(position, "position")
        except Invalid:
            if not (position.isascii() and position.isdecimal() and len(position) < 19):
                raise
            return await self._events.version_at_position(stream, int(position))
        await self._events.require_on_record(cursor)
        return await self._events.version_at_cursor(stream, cursor)


def _past(point: PointInTime) -> bool:
    return point != PointInTime()
