"""Projection builds as their store tells of them: the tables of read models, their feed, and their dead letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, Self
from uuid import UUID

from domain.amends.projection import Projection
from workflows.amends.ports.event_store import FeedCursor, StoredEvent

KnownProjections = Mapping[tuple[str, int], Projection[Any, Any]]
"""The projections of this code, by name and version."""
RequestedAction = Literal["retry", "skip"]

LEASE = timedelta(seconds=10)
"""The longest lease of a build that its store allows."""
COUNTED = 100_000
"""The most events that a lag counts."""
LISTED, GLANCE = 1000, 20
"""How many dead letters of a build are listed: of one read model, and of all."""


class LeaseLost(Exception):
    """Another runner follows the feed for this build now, or it was dropped; nothing was written."""


class ServerChanged(Exception):
    """Another run of the database server answers than the one in which the page was read; nothing was written."""


@dataclass(frozen=True)
class BuildTarget:
    """One build of a read model, which has a table of its own."""

    name: str
    build: int

    @property
    def as_tuple(self) -> tuple[str, int]:
        """Name and number, as statements take them."""
        return self.name, self.build


@dataclass(frozen=True)
class ProjectionBuild:
    """One build of a read model; `free` says that no runner follows the feed for it.

    `version` is that of the code, `build` counts the tables of the read model. `run` is the run of the database server
    in which it was read.
    """

    name: str
    build: int
    version: int
    state: str
    types: list[str]
    cursor: FeedCursor
    events: int
    expected: int
    runner: str | None
    free: bool
    failure: str | None
    started_at: datetime
    moved_at: datetime | None
    caught_up_at: datetime | None
    promoted_at: datetime | None
    set_aside: int
    action_requested: bool
    skipped: int
    run: int = 0


@dataclass(frozen=True)
class BuildLag:
    """The events that a build has still to take, and the age of the first of them in seconds."""

    events: int
    seconds: float


class FeedEvent(NamedTuple):
    """An event as the feed of a read model has it, its JSON not read yet."""

    generation: int
    transaction_id: int
    position: int
    stream: str
    version: int
    name: str
    schema_version: int
    data_json: str
    recorded_at: datetime

    @classmethod
    def of(cls, stored: StoredEvent) -> Self:
        """The event as it stands in an event store."""
        place = (stored.generation, stored.transaction_id, stored.position)
        return cls(*place, stored.stream, stored.version, *stored.type, stored.data_json, stored.recorded_at)


@dataclass(frozen=True)
class FeedPage:
    """A page of the feed: the events that the read model reads, and its end; None if nothing is new.

    `unread` names events that other code reads for this build, and this code would pass over.
    """

    events: Sequence[FeedEvent]
    end: FeedCursor | None
    full: bool
    """Whether the next page may have events already."""
    run: int | None = None
    """The run of the server in which it was read."""
    unread: str | None = None


@dataclass(frozen=True)
class TableShape:
    """The table of a build as it is: its columns, and its indexes of plain columns.

    `lacking` are rights on it that its writer has not, `made` the columns that it was made with (None once the build
    was dropped), and `hidden` says that it is live and its view is missing.
    """

    there: bool
    columns: Sequence[Mapping[str, Any]]
    indexes: Sequence[Mapping[str, Any]]
    lacking: Sequence[str]
    made: Sequence[Mapping[str, Any]] | None
    hidden: bool


@dataclass(frozen=True)
class RejectedKey:
    """Events of one key that are set aside: with an error for a new key, without one behind those that wait already."""

    key: str
    error: str | None
    positions: Sequence[int]


@dataclass(frozen=True)
class BuildCommit:
    """One commit of a runner: rows, the checkpoints before and after it, and what is set aside, all or nothing.

    `rows` is a JSON array, `gone` are keys without a row from now on, `events` is how many were applied, and `run` the
    run of the server in which they were read. `cleared` are a key that is set aside no longer and the action that was
    requested for it; `skipped` are the events that this action leaves out, by key and position.
    """

    target: BuildTarget
    runner: str
    run: int
    begin: FeedCursor
    end: FeedCursor
    events: int
    rows: str
    gone: Sequence[str]
    rejected: Sequence[RejectedKey]
    caught_up: bool
    cleared: tuple[str, str] | tuple[None, None] = (None, None)
    skipped: Sequence[tuple[str, int]] = ()


@dataclass(frozen=True)
class DeadLetter:
    """A key that is set aside: its event that cannot be applied, the error, and how many events wait behind it."""

    name: str
    build: int
    key: str
    error: str
    since: datetime
    requested_action: str | None
    event_id: UUID
    type: str
    stream: str
    version: int
    position: int
    waiting: int


@dataclass(frozen=True)
class SkippedEvent:
    """An event that a read model leaves out, on an operator's request."""

    key: str
    build: int
    at: datetime
    event_id: UUID
    type: str
    stream: str
    version: int
    position: int
    reason: str | None
    actor: str | None
