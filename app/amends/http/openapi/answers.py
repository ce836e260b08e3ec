"""The bodies of answers, for the OpenAPI document. An answer may have more members one day: let them pass."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from workflows.amends.history import Status

Token = str
"""A place in the feed: opaque."""


class Error(BaseModel):
    """What was wrong, and its facts; those marked personal or secret are masked."""

    name: str
    message: str
    facts: dict[str, Any]


class Wait(BaseModel):
    """Something that a saga waits for."""

    kind: str
    name: str
    since: datetime
    until: datetime | None


class Compensation(BaseModel):
    """How the undoing of a step stands."""

    name: str
    status: str
    attempts: int
    error: Error | None


class Step(BaseModel):
    """A step that has begun."""

    name: str
    occurrence: int
    kind: str
    status: str
    attempts: int
    started_at: datetime | None
    finished_at: datetime | None
    next_attempt_at: datetime | None
    child: str | None
    error: Error | None
    compensation: Compensation | None


class SagaRow(BaseModel):
    """A saga in a list."""

    id: str
    name: str
    version: int
    reference: str
    status: Status
    reason: str | None
    started_at: datetime
    finished_at: datetime | None
    correlation_id: str
    waiting_for: str | None
    waiting_until: datetime | None
    waits: list[Wait]
    parent: str | None


class Saga(SagaRow):
    """A saga with a page of its steps."""

    input: Any
    result: Any
    error: Error | None
    position: Token
    steps: list[Step]
    steps_next: Token | None


class Sagas(BaseModel):
    """A page of sagas, newest first; `next` is the cursor of the next one."""

    workflows: list[SagaRow]
    next: Token | None


class Started(BaseModel):
    """A saga that was started, now or before with the same key."""

    id: str
    name: str
    version: int
    status: Status


class DeclaredStep(BaseModel):
    """A step as it is declared."""

    name: str
    kind: str
    pivot: bool
    compensation: str | None


class Definition(BaseModel):
    """A saga as it is declared; `input` and each of `signals` is a JSON Schema."""

    name: str
    version: int
    versions: list[int]
    input: dict[str, Any]
    steps: list[DeclaredStep]
    deadline_seconds: float | None
    signals: dict[str, Any]


class Definitions(BaseModel):
    """Every saga that this server has code for."""

    definitions: list[Definition]


class Noted(BaseModel):
    """What was asked for is on record, and happens next."""

    id: str


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
    next: Token


class State(BaseModel):
    """What a stream's events add up to."""

    stream: str
    version: int
    position: Token
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


class Turned(BaseModel):
    """The state after an undo or a redo."""

    stream: str
    version: int
    state: Any
    position: Token


class Account(BaseModel):
    """An account as it stands."""

    account_id: str
    owner: str
    currency: str
    balance: int
    version: int


class AccountWritten(Account):
    """An account after a command; `position` is the place in the feed that shows it."""

    position: Token


class Build(BaseModel):
    """A table of a read model."""

    build: int
    version: int
    state: str
    position: Token
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
    """How a read model stands."""

    name: str
    mode: str | None
    version: int | None
    code_versions: list[int]
    status: str
    build: int | None
    position: Token | None
    lag_events: int
    lag_seconds: float
    set_aside: int
    rebuild: Build | None
    builds: list[Build]


class DeadLetter(BaseModel):
    """A key whose next event cannot be applied, and why."""

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


class ProjectionInFull(Projection):
    """How a read model stands, and what is set aside."""

    set_aside_keys: list[DeadLetter]


class Projections(BaseModel):
    """All read models."""

    projections: list[Projection]


class Verified(BaseModel):
    """Two tables compared; `examples` are keys that differ."""

    name: str
    builds: list[int]
    rows: int
    columns: list[str]
    moving: int
    differing: int
    examples: list[str]


class Built(BaseModel):
    """A table of a read model, after an act; `position` is the place in the feed of the event that tells it."""

    name: str
    build: int
    version: int
    position: Token


class Wished(BaseModel):
    """What is to become of a key that is set aside; a server does it within a second."""

    name: str
    key: str
    wish: Literal["retry", "skip"]
    position: Token


class Rows(BaseModel):
    """Rows of a read model; give `next` as `after` to go on."""

    rows: list[dict[str, Any]]
    next: str | None


class Outage(BaseModel):
    """A provider that does not answer."""

    provider: str
    down_since: datetime
    error: str | None
    waiting: int


class Outages(BaseModel):
    """Providers that do not answer."""

    down: list[Outage]


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"]
    executor: str


class Ready(BaseModel):
    """This server may be sent work."""

    status: Literal["ready"]
    executor: str
    running: int


class Wrong(BaseModel):
    """A field that is wrong, by its path, and why."""

    field: str
    problem: str
