"""The bodies of answers about events, and the streams that they are of."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from app.amends.http.openapi.answers import FeedToken


class Event(BaseModel):
    """An event as it is stored; values marked personal or secret are masked."""

    id: UUID
    position: int
    stream: str
    version: int
    type: str
    schema_version: int
    data: Any
    metadata: dict[str, Any]
    recorded_at: datetime


class Events(BaseModel):
    """A page of events; give `next` as `after` to go on."""

    events: list[Event]
    next: FeedToken


class State(BaseModel):
    """The state of a stream's aggregate."""

    stream: str
    version: int
    position: FeedToken
    recorded_at: datetime
    state: Any


class Change(BaseModel):
    """A value that differs; `path` is a JSON Pointer."""

    path: str
    before: Any
    after: Any


class Difference(BaseModel):
    """What changed between two points."""

    stream: str
    before: State | None = Field(alias="from")
    after: State = Field(alias="to")
    changes: list[Change]


class StateAfterUndo(BaseModel):
    """The state after an undo or a redo."""

    stream: str
    version: int
    state: Any
    position: FeedToken
