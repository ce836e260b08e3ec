"""Events on their way into the store and back: what is appended, what is read, and what a store must promise."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol, Self, TypeVar
from uuid import UUID

from pydantic import ValidationError

from domain.amends.errors import AmendsError, Conflict, Invalid
from domain.amends.event import Cause, EventType, event_type
from domain.amends.expected import Expected
from domain.amends.stream import require_business_stream, require_stream
from domain.amends.vocabulary import Unreadable, Vocabulary
from workflows.amends.ids import new_id
from workflows.amends.redaction.sensitive import hidden_values, marked_shape, without_values
from workflows.amends.values.codec import dump, parse_json, stored_value, type_adapter, wrong_fields
from workflows.amends.values.limits import Limits

E = TypeVar("E")


class Overtaken(AmendsError):
    """Others wrote to {stream} first, {times} times in a row."""

    stream: str
    times: int


@dataclass(frozen=True)
class NewEvent:
    """An event to be appended; `id` is fixed before the first attempt, so that a resend is recognised."""

    id: UUID
    stream: str
    type: EventType
    data: Any
    cause: Cause
    size: int = 0
    """How many bytes the data of an event of the business takes as JSON."""
    event: Any = field(default=None, compare=False, repr=False)
    """An event of the business as whoever reads it gets it."""


class _Order(NamedTuple):
    generation: int
    transaction_id: int
    position: int


class FeedCursor(_Order):
    """A place in the feed. A bare position is not one: events are not ordered by position alone.

    `event` is what stands there, None where nobody knows, and `run` the run of the database server in which the place
    was given out, 0 where there is none. Neither is part of the order.
    """

    event: UUID | None
    run: int

    def __new__(
        cls,
        generation: int = 0,
        transaction_id: int = 0,
        position: int = 0,
        event: UUID | None = None,
        run: int | None = 0,
    ) -> Self:
        """A place; without anything it is the one before all events."""
        cursor = super().__new__(cls, generation, transaction_id, position)
        cursor.event, cursor.run = event or None, run or 0
        return cursor

    def __str__(self) -> str:
        order = f"{self.generation}-{self.transaction_id}-{self.position}"
        return f"{order}-{self.event.hex}-{self.run}" if self.event else order

    @classmethod
    def parse(cls, token: str) -> FeedCursor | None:
        """A place from its token; None for anything else."""
        match = _TOKEN.fullmatch(token)
        if match is None:
            return None
        generation, transaction, position, event, run = match.groups()
        return cls(int(generation), int(transaction), int(position), UUID(event) if event else None, int(run or 0))


START = FeedCursor()
_TOKEN = re.compile(r"([0-9]{1,9})-([0-9]{1,18})-([0-9]{1,18})(?:-([0-9a-f]{32})-([0-9]{1,18}))?")


class _Stored(NamedTuple):
    generation: int
    transaction_id: int
    position: int
    id: UUID
    stream: str
    version: int
    name: str
    schema_version: int
    data_json: str
    metadata_json: str
    recorded_at: datetime
    run: int | None = 0


class StoredEvent(_Stored):
    """An event as it stands in the store, its JSON not read yet: most events of a feed are only passed on.

    `version` counts from 1 in its stream; `data_json` is in the shape that `schema_version` of `name` had. `run` is the
    run of the database server in which it was read: it is no part of the event.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoredEvent) and self[:-1] == other[:-1]

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def cursor(self) -> FeedCursor:
        return FeedCursor(self.generation, self.transaction_id, self.position, self.id, self.run)

    @property
    def type(self) -> EventType:
        return EventType(self.name, self.schema_version)

    @property
    def data(self) -> Any:
        return parse_json(self.data_json)

    @property
    def metadata(self) -> Any:
        return parse_json(self.metadata_json)


@dataclass(frozen=True)
class IdempotencyKey:
    """An idempotency key, and a digest of the request that it was sent with."""

    key: str
    digest: str


@dataclass(frozen=True)
class StoredAnswer:
    """What a request with an idempotency key is answered, to be kept in the same commit as what it did."""

    key: str
    digest: str
    body: Mapping[str, Any]


@dataclass(frozen=True)
class AppendResult:
    """The place in the feed that an append reaches to: whoever has read up to there has seen it."""

    cursor: FeedCursor


@dataclass(frozen=True)
class RepeatedRequest:
    """The request's key was used before, for a request with this digest, which was answered so; nothing was done."""

    digest: str
    body: dict[str, Any]


@dataclass(frozen=True)
class FeedFilter:
    """Which events of the feed; None is all of them."""

    type: str | None = None
    stream: str | None = None
    correlation_id: str | None = None


class EventStore(Protocol):
    """What every store of events promises; tests/amends/contracts/contract.py holds each one to it."""

    async def append(
        self, events: Sequence[NewEvent], expected: Mapping[str, Expected] = {}, answer: StoredAnswer | None = None
    ) -> AppendResult | RepeatedRequest:
        """Append to one or several streams in one commit, all of it or nothing. Those sent at once have no order.

        Events that are all there, recognised by their ids, are a success and change nothing, whatever is expected:
        the same append again, in any order, or some of its events. Raises StaleVersion if a stream has another version
        than expected, Conflict with an event's id if only some of the ids are known or stand for other events,
        Invalid for a stream that cannot be (domain.amends.stream), and Unstorable for what JSON or Postgres does not
        take.
        """
        ...

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> list[StoredEvent]:
        """Events of one stream with versions above `after`, oldest first."""
        ...

    async def feed(
        self, after: FeedCursor = START, limit: int = 1000, only: FeedFilter = FeedFilter()
    ) -> list[StoredEvent]:
        """Events of all streams in an order that never skips one, never changes, and has each stream's own order."""
        ...


KNOWN_IN_PART = "Some of these events were appended before, but not all of them. Event {id} stands in {stream}."
DIFFERENT = "Event {id} was appended before, to {stream}, and is another one: an id stands for one event."


def require_appendable(events: Sequence[NewEvent], expected: Mapping[str, Expected]) -> None:
    """Raise Invalid for a stream that is not the business's, and Conflict if two events of one append have one id."""
    for stream in {event.stream for event in events}:
        require_business_stream(stream)
    for stream, value in expected.items():
        require_stream(stream)
        if not isinstance(value, Expected):
            raise Invalid(f"expected version of {stream}", f"is exact(…), NONE or ANY, not {value!r}")
    if len({event.id for event in events}) < len(events):
        id, times = Counter(event.id for event in events).most_common(1)[0]
        raise Conflict("event-ids", f"{times} of these events have the id {id}: an id stands for one event.")


def repeated_answer(key: str, digest: str, before: RepeatedRequest) -> dict[str, Any]:
    """The answer that a repeated request got. Raises Conflict if its key was used for something else."""
    if digest != before.digest:
        raise Conflict("idempotency", f"The idempotency key {key!r} was used for another request. Use a new one.")
    return before.body


def new_business_event(
    stream: str, event: object, cause: Cause, id: UUID | None = None, limit: int = Limits().value
) -> NewEvent:
    """An event of the business as it is stored, of `limit` bytes at most. Raises Invalid, TooLarge and Unstorable.

    Every event's data passes here on its way in, and `load_event` on its way out: this is where marked fields
    (domain/amends/sensitive.py) will be encrypted.
    """
    require_business_stream(stream)
    type = event_type(event)
    made = stored_value(event, event.__class__, f"event {type.name}", limit)
    return NewEvent(id or new_id(), stream, type, made.data, cause, made.size, made.value)


def new_amends_event(stream: str, event: object, cause: Cause, id: UUID | None = None) -> NewEvent:
    """An event of ours as it is stored; what others say in it was looked at before."""
    return NewEvent(id or new_id(), stream, event_type(event), dump(event, type(event)), cause)


def load_event(vocabulary: Vocabulary[E], stored: EventType, data: Any) -> E:
    """An event back from its plain JSON data, whatever shape it had then. Raises Unreadable, never guesses."""
    cls, current = vocabulary.upcast(stored, data)
    try:
        event: E = type_adapter(cls).validate_python(current, by_alias=True, by_name=True)
    except ValidationError as error:
        raise _unfit(stored, cls, error, current) from None
    return event


def load_event_json(vocabulary: Vocabulary[E], stored: EventType, json: str) -> E:
    """The same from JSON text, which is read in one go where the shape is today's."""
    cls = vocabulary.current_class(stored)
    if cls is None:
        return load_event(vocabulary, stored, parse_json(json))
    try:
        event: E = type_adapter(cls).validate_json(json, by_alias=True, by_name=True)
    except ValidationError as error:
        if error.errors(include_url=False, include_input=False)[0]["type"] == "json_invalid":
            return load_event(vocabulary, stored, parse_json(json))  # too deep for the quick way
        raise _unfit(stored, cls, error, parse_json(json)) from None
    return event


def _unfit(stored: EventType, cls: type[object], error: ValidationError, data: Any) -> Unreadable:
    """What is wrong with an event's data; a validator of its own may say it with values that must not be shown."""
    problem = without_values(str(wrong_fields(error)[0]), tuple(hidden_values(data, marked_shape(cls))))
    return Unreadable(*stored, f"its data does not fit {cls.__name__}: {problem}")
