"""The bodies of answers about sagas."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from app.amends.http.openapi.answers import FeedToken
from workflows.amends.acts.dry_run import LeadsTo, NextKind
from workflows.amends.acts.saga_act import ActName
from workflows.amends.causes.failure_cause import CauseKind
from workflows.amends.history import Status
from workflows.amends.history.execution_record import ExecutionEnd, ExecutionStart


class Error(BaseModel):
    """An error and its facts; those marked personal or secret are masked."""

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
    """The state of a step's compensation."""

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


class Execution(BaseModel):
    """An executor ran a saga, the `number`-th time that one did; `until` is null as long as it does.

    `machine` and `pid` are null if the database does not know the process any more, and `began_by` if the execution
    before is not kept any more.
    """

    number: int
    executor: str
    machine: str | None
    pid: int | None
    since: datetime = Field(alias="from")
    until: datetime | None
    began_by: ExecutionStart | None
    ended_by: ExecutionEnd | None


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
    cause: str | None
    actor: str | None


class Saga(SagaRow):
    """A saga with a page of its steps, and its newest 20 executions, oldest first."""

    input: Any
    result: Any
    error: Error | None
    position: FeedToken
    steps: list[Step]
    steps_next: FeedToken | None
    executions: list[Execution]


class Count(BaseModel):
    """How many match; beyond 10,000 they are not counted, and `more` is true."""

    value: int
    more: bool


class Sagas(BaseModel):
    """A page of sagas, newest first; `next` is the cursor of the next one, `count` is there if it was asked for."""

    workflows: list[SagaRow]
    next: FeedToken | None
    count: Count | None = None


class CauseGroup(BaseModel):
    """What has a cause in common; `more` says that there are more than `count`, `since` is of the first of them.

    The examples are ids of workflows, or keys of the read model `name`; `acts` are what an operator can do about them.
    """

    cause: str
    kind: CauseKind
    name: str
    version: int
    step: str | None
    provider: str | None
    error: str | None
    count: int
    more: bool
    since: datetime
    examples: list[str]
    acts: list[str]


class Causes(BaseModel):
    """All that needs a person, the largest groups first."""

    causes: list[CauseGroup]


class Started(BaseModel):
    """A saga that was started, now or before with the same key."""

    id: str
    name: str
    version: int
    status: Status


class Movable(BaseModel):
    """A saga that would be moved from one version of its code to another."""

    id: str
    from_version: int
    version: int


class OutboundCall(BaseModel):
    """A call that stands in the code of a step; `provider` is null where its gateway names none."""

    gateway: str
    operation: str
    provider: str | None


class NextAction(BaseModel):
    """Something that would happen: a step, or a compensation of one; `child` is the saga that is started or undone."""

    kind: NextKind
    step: str
    occurrence: int
    compensation: str | None
    child: str | None
    calls: list[OutboundCall]


class DryRun(BaseModel):
    """What an act would lead to: `next` in this order, and where knowing ends."""

    id: str
    act: ActName
    leads_to: LeadsTo
    next: list[NextAction]
    until: str


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


class Accepted(BaseModel):
    """The request is on record, and is carried out next."""

    id: str
