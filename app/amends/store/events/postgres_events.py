"""The event store in Postgres: appends in one commit, reads by stream or in the order of the feed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from app.amends.postgres.statements.committer import AlreadyExists
from app.amends.postgres.statements.reader import Reader
from app.amends.store.events.encoding import append_item, new_event_json
from app.amends.store.events.writer import SQL, EventWriter
from domain.amends.errors import AmendsError, Conflict, Invalid, StaleVersion
from domain.amends.expected import Expected
from workflows.amends.ports.event_store import (
    DIFFERENT,
    KNOWN_IN_PART,
    START,
    AppendResult,
    FeedCursor,
    FeedFilter,
    NewEvent,
    RepeatedRequest,
    StoredAnswer,
    StoredEvent,
    require_appendable,
)
from workflows.amends.values.storable import storable_json

PATIENCE = 10.0
"""How long an append waits for the database, in seconds, before the caller has to try again."""


AHEAD = "is ahead of all that was ever written here: another database gave it out, or this one before a recovery"


class WentBack(AmendsError):
    """History went back: what was at {place} is not on record any more. Go on from {stands}, the last place before it
    that still stands; what comes after it is new, also where you have read as far before."""

    place: str
    stands: str


class PostgresEvents:
    """The event store of one process; workflows.amends.ports.event_store.EventStore says what it promises."""

    def __init__(self, writer: EventWriter, reader: Reader) -> None:
        self._writer, self._reader = writer, reader

    async def append(
        self, events: Sequence[NewEvent], expected: Mapping[str, Expected] = {}, answer: StoredAnswer | None = None
    ) -> AppendResult | RepeatedRequest:
        require_appendable(events, expected)
        item = storable_json(append_item(events, expected, answer), "An append").decode()
        try:
            row = await self._writer.append(item, events, PATIENCE)
        except AlreadyExists as doubled:
            raise await self._known_in_part(events) or Conflict("event-ids", str(doubled)) from doubled
        outcome, stream, wanted, actual, cursor, digest, body = row
        match outcome:
            case "appended":
                return AppendResult(FeedCursor.parse(cursor or "") or START)
            case "repeated":
                return RepeatedRequest(digest, body)
            case "stale":
                if len(events) > 2 and (known := await self._known_in_part(events)):  # in the middle
                    raise known
                raise StaleVersion(stream, wanted, actual)
            case "different":
                raise Conflict("event-ids", DIFFERENT.format(id=digest, stream=stream))
            case _:
                raise Conflict("event-ids", KNOWN_IN_PART.format(id=digest, stream=stream))

    async def _known_in_part(self, events: Sequence[NewEvent]) -> Conflict | None:
        """The conflict of an append of which some events are known and others are not; None if there is none."""
        item = storable_json([new_event_json(event) for event in events], "An append").decode()
        row = await self._reader.row(SQL["known_in_part"], (item,))
        if row is None or (row["known"] == len(events) and not row["different"]):
            return None
        return Conflict("event-ids", (DIFFERENT if row["different"] else KNOWN_IN_PART).format(**row))

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> list[StoredEvent]:
        return await self._events("stream", {"stream": stream, "after": after, "limit": limit})

    async def read_after(self, stream: str, after: FeedCursor, limit: int = 1000) -> list[StoredEvent]:
        """Events of one stream after a place in the feed, oldest first."""
        events = await self._events("stream_after", {"stream": stream, "limit": limit} | _cursor(after))
        return events or await self._none_after(after)

    async def read_back(self, stream: str, before: int, limit: int = 1000) -> list[StoredEvent]:
        """Events of one stream with versions below `before`, newest first."""
        return await self._events("backwards", {"stream": stream, "before": before, "limit": limit})

    async def feed(
        self, after: FeedCursor = START, limit: int = 1000, only: FeedFilter = FeedFilter()
    ) -> list[StoredEvent]:
        statement = (
            "feed_of_correlation"
            if only.correlation_id is not None
            else "feed_of_stream"
            if only.stream is not None
            else "feed_of_type"
            if only.type is not None
            else "feed"
        )
        wanted = {"type": only.type, "stream": only.stream, "correlation_id": only.correlation_id, "limit": limit}
        rows = await self._reader.tuples(SQL[statement], wanted | _cursor(after), anew=statement != "feed")
        return self._read(rows) or await self._none_after(after)

    async def _none_after(self, cursor: FeedCursor) -> list[StoredEvent]:
        """An empty page; raises WentBack if a reader who goes on after the place would miss events."""
        stands, vouched, last = await self._last_standing(cursor)
        if not (stands and vouched):
            raise WentBack(str(cursor), str(last))
        return []

    async def require_on_record(self, cursor: FeedCursor) -> None:
        """Raise WentBack, with the last place before it that stands, if the event of a place is gone."""
        stands, _, last = await self._last_standing(cursor)
        if not stands:
            raise WentBack(str(cursor), str(last))

    async def last_on_record(self, cursor: FeedCursor) -> FeedCursor:
        """A place, if it stands; else the last place before it that does."""
        stands, _, last = await self._last_standing(cursor)
        return cursor if stands else last

    async def _last_standing(self, cursor: FeedCursor) -> tuple[bool, bool, FeedCursor]:
        """Whether a place stands, whether nothing before it is known to be gone, and the last place for which both
        hold."""
        if cursor.event is None:
            return True, True, cursor
        row = await self._reader.row(SQL["last_standing"], _cursor(cursor))
        assert row is not None
        stands, vouched = row.pop("stands"), row.pop("vouched")
        return stands, vouched, START if row["event"] is None else FeedCursor(**row)

    async def require_all_on_record(self, cursors: Sequence[FeedCursor]) -> None:
        """Raise WentBack for the first of several places, in the order of the feed, that is gone. It is one query."""
        if cursors:
            parameters = ([cursor.position for cursor in cursors], [cursor.event for cursor in cursors])
            for (number,) in await self._reader.tuples(SQL["first_gone"], parameters):
                await self.require_on_record(cursors[number - 1])

    async def version(self, stream: str) -> int:
        """The version of a stream, 0 if it has no event."""
        return await self._version("stream_version", stream)

    async def _version(self, question: str, *parameters: object) -> int:
        row = await self._reader.row(SQL[question], parameters)
        return int(row["version"]) if row else 0

    async def version_at(self, stream: str, at: datetime) -> int:
        """The highest version of a stream that was recorded by an instant."""
        return await self._version("version_at", stream, at)

    async def version_at_position(self, stream: str, position: int) -> int:
        """The highest version of a stream up to a position."""
        return await self._version("version_at_position", stream, position)

    async def version_at_cursor(self, stream: str, cursor: FeedCursor) -> int:
        """The highest version of a stream up to a place in the feed."""
        place = (cursor.generation, str(cursor.transaction_id), cursor.position)
        return await self._version("version_at_place", stream, *place)

    async def open_saga(self, stream: str) -> str | None:
        """A saga that has written to a stream and is not finished."""
        row = await self._reader.row(SQL["open_saga"], (stream,))
        return None if row is None else str(row["id"])

    async def parse_after(self, token: str | None, field: str = "after") -> FeedCursor:
        """The place that a token names, for a reader who goes on after it. Raises Invalid as `cursor` does, and for a
        place that is still to come.

        That is the token of another database: its reader would miss all that is written until it is reached. A token
        with its event is checked when it is read from: see `require_on_record`.
        """
        cursor = await self.parse_cursor(token, field)
        if cursor != START and cursor.event is None:
            row = await self._reader.row(SQL["given_out"], _cursor(cursor))
            if row is None or not row["given_out"]:
                raise Invalid(field, AHEAD)
        return cursor

    async def parse_cursor(self, token: str | None, field: str = "after") -> FeedCursor:
        """The place that a token or a plain position names. Raises Invalid for anything else."""
        if not token or token == "0":
            return START
        if cursor := FeedCursor.parse(token):
            return cursor
        if not (token.isascii() and token.isdecimal() and len(token) < 19):
            raise Invalid(field, "is not a position or a token that was given out as `next` or `position`")
        row = await self._reader.row(SQL["place_of"], (int(token),))
        if row is None:
            raise Invalid(field, f"there is no event at position {token}")
        return FeedCursor(**row)

    async def _events(self, statement: str, parameters: dict[str, Any]) -> list[StoredEvent]:
        return self._read(await self._reader.tuples(SQL[statement], parameters))

    def _read(self, rows: Sequence[Any]) -> list[StoredEvent]:
        events = list(map(StoredEvent._make, rows))
        self._writer.recent.note_read(events)
        return events


def _cursor(after: FeedCursor) -> dict[str, Any]:
    """A feed cursor as the parameters of statements."""
    return {
        "generation": after.generation,
        "transaction_id": str(after.transaction_id),
        "position": after.position,
        "event": after.event,
        "run": after.run,
    }
