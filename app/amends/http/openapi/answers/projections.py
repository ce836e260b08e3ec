"""The bodies of answers about read models."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel

from app.amends.http.openapi.answers import FeedToken


class Build(BaseModel):
    """One build of a read model: a table of its own."""

    build: int
    version: int
    state: str
    position: FeedToken
    events: int
    progress: float
    rate: float
    seconds_left: float | None
    lag_events: int
    lag_seconds: float
    set_aside: int
    runner: str | None
    failure: str | None
    started_at: datetime
    caught_up_at: datetime | None
    promoted_at: datetime | None


class Projection(BaseModel):
    """The state of a read model."""

    name: str
    mode: str | None
    version: int | None
    code_versions: list[int]
    status: str
    build: int | None
    position: FeedToken | None
    lag_events: int
    lag_seconds: float
    set_aside: int
    rebuild: Build | None
    builds: list[Build]


class DeadLetter(BaseModel):
    """A key that is set aside: its next event cannot be applied."""

    name: str
    build: int
    key: str
    error: str
    since: datetime
    wish: Literal["retry", "skip"] | None
    event_id: UUID
    type: str
    stream: str
    version: int
    position: int
    waiting: int


class ProjectionDetail(Projection):
    """The state of a read model, with the keys that are set aside."""

    set_aside_keys: list[DeadLetter]


class Projections(BaseModel):
    """All read models."""

    projections: list[Projection]


class Comparison(BaseModel):
    """Two builds compared; `examples` are keys that differ."""

    name: str
    builds: list[int]
    rows: int
    columns: list[str]
    moving: int
    differing: int
    examples: list[str]


class BuildChanged(BaseModel):
    """A build after an operation on it; `position` is the place in the feed of the event about that."""

    name: str
    build: int
    version: int
    position: FeedToken


class ActionRequested(BaseModel):
    """The requested action for a key that is set aside; a server performs it within a second."""

    name: str
    key: str
    wish: Literal["retry", "skip"]
    position: FeedToken


class Rows(BaseModel):
    """Rows of a read model; give `next` as `after` to go on."""

    rows: list[dict[str, Any]]
    next: str | None
