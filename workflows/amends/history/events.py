"""What can happen to one saga, as events in its own stream."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from pydantic import JsonValue

from domain.amends.event import Payload, event, upcasts
from workflows.amends.history.problem import Problem

Status = Literal[
    "queued", "running", "waiting", "compensating", "completed", "compensated", "stuck", "stranded", "abandoned"
]
StepStatus = Literal["completed", "refused", "retrying", "failed", "unknown", "compensated", "skipped", "running"]
CompensationStatus = Literal["completed", "retrying", "failed", "skipped", "resolved"]
OperatorAction = Literal["retry", "skip", "resolve"]

#: The states in which nothing more will happen unless a person acts.
RESTING: frozenset[Status] = frozenset({"completed", "compensated", "stuck", "stranded", "abandoned"})
FINISHED: frozenset[Status] = frozenset({"completed", "compensated"})


@event("saga-started")
class SagaStarted:
    name: str
    version: int
    reference: str
    root: str
    input: JsonValue


@dataclass(frozen=True)
class StepEvent:
    """What all events about a step say: `slot` is its number in DBOS, `arguments` a digest for replays."""

    step: str
    occurrence: int
    kind: str
    slot: int
    arguments: str
    started_at: datetime


@event("step-completed")
class StepCompleted(StepEvent):
    attempts: int
    result: JsonValue


@event("step-refused")
class StepRefused(StepEvent):
    """The answer was no, and nothing happened."""

    attempts: int
    error: Problem


@event("step-retrying")
class StepRetrying(StepEvent):
    """An attempt failed; the next one is due at `next_at`."""

    attempts: int
    error: Problem
    next_at: datetime


@event("step-waiting")
class StepWaiting(StepEvent):
    """A step waits for a provider that is down, since when and until when at most; that is no attempt.

    `sent` says that it may have taken effect all the same: something was sent before the provider was found down.
    """

    attempts: int
    provider: str
    error: Problem
    since: datetime
    until: datetime
    sent: bool


@event("step-failed")
class StepFailed(StepEvent):
    """No attempt was answered: nobody knows whether it happened."""

    attempts: int
    error: Problem


@event("step-skipped")
class StepSkipped(StepEvent):
    """A person decided that it was not done and need not be."""

    reason: str


@event("saga-waiting")
class SagaWaiting:
    """The saga rests until a signal comes, or until a time; without a signal it is just a timer."""

    slot: int
    signal: str | None
    until: datetime | None


@event("signal-received")
class SignalReceived:
    """Somebody told the saga something; it is kept until the saga asks for it."""

    signal: str
    payload: JsonValue


@event("wait-ended")
class WaitEnded:
    """The saga goes on: it was told what it waited for, or its time came."""

    slot: int
    signal: str | None
    by: Literal["signal", "time"]


@event("child-started")
class ChildStarted(StepEvent):
    """A saga was started as a step of this one, which rests until that has ended."""

    child: str


@event("child-recalled")
class ChildRecalled:
    """A saga that this one started is to be undone."""

    slot: int
    child: str
    reason: str


@event("saga-compensating", version=2)
class SagaCompensating:
    """The point where the saga turned back.

    `in_doubt` are the numbers of steps without a record that may have taken effect all the same: they are undone too.
    """

    reason: str
    error: Problem | None = None
    in_doubt: tuple[int, ...] = ()


@upcasts(SagaCompensating, 1)
def _nothing_in_doubt(data: Payload) -> Payload:
    return data | {"in_doubt": []}


@event("cancel-requested")
class CancelRequested:
    """Somebody wants the saga cancelled; it looks at this between its steps."""

    reason: str


@event("cancel-lost")
class CancelLost:
    """The pivot was quicker than the wish to cancel: there is no way back."""

    reason: str


@event("operator-resumed")
class OperatorResumed:
    """A person lets a saga go on that was ended in DBOS's own tools."""

    reason: str


@event("compensation-failed")
class CompensationFailed:
    """An attempt to undo a step failed; without `next_at` there is no further one."""

    step: str
    occurrence: int
    compensation: str
    slot: int
    attempts: int
    error: Problem
    next_at: datetime | None


@event("compensation-waiting")
class CompensationWaiting:
    """A compensation waits for a provider that is down, since when and until when at most; that is no attempt."""

    step: str
    occurrence: int
    compensation: str
    slot: int
    attempts: int
    provider: str
    error: Problem
    since: datetime
    until: datetime


@event("step-compensated")
class StepCompensated:
    """A step was undone, or a person says that it was (`resolved`) or need not be (`skipped`)."""

    step: str
    occurrence: int
    compensation: str
    slot: int
    attempts: int
    by: Literal["compensation", "skip", "resolve"] = "compensation"


@event("event-loop-blocked")
class EventLoopBlocked:
    """Code of the saga kept the event loop of its executor from answering for longer than its lease."""

    step: str | None
    seconds: float
    executor: str
    stack: str


@event("saga-stuck")
class SagaStuck:
    """The saga waits for a person; `step` is what it cannot get past, None if that is the code between the steps."""

    reason: str
    slot: int
    step: str | None = None
    occurrence: int = 1
    kind: str = "step"
    attempts: int = 0
    compensation: str | None = None
    error: Problem | None = None


@event("operator-acted")
class OperatorActed:
    """What a person decided about a stuck saga; the actor stands in the event's metadata."""

    act: OperatorAction
    reason: str
    slot: int
    step: str | None = None
    result: JsonValue = None


@event("saga-stranded")
class SagaStranded:
    """No code here fits what is recorded."""

    reason: str


@event("saga-resumed")
class SagaResumed:
    """Fitting code is back."""


@event("saga-abandoned")
class SagaAbandoned:
    """The workflow was ended by other means than its own: a person must look at it."""

    reason: str


@event("saga-completed")
class SagaCompleted:
    result: JsonValue


@event("saga-compensated")
class SagaCompensated:
    """Everything that was done, or may have been done, was undone."""

    reason: str


SagaEvent: TypeAlias = (
    SagaStarted
    | StepCompleted
    | StepRefused
    | StepRetrying
    | StepWaiting
    | StepFailed
    | StepSkipped
    | ChildStarted
    | ChildRecalled
    | SagaWaiting
    | SignalReceived
    | WaitEnded
    | SagaCompensating
    | CancelRequested
    | CancelLost
    | OperatorResumed
    | CompensationFailed
    | CompensationWaiting
    | StepCompensated
    | EventLoopBlocked
    | SagaStuck
    | OperatorActed
    | SagaStranded
    | SagaResumed
    | SagaAbandoned
    | SagaCompleted
    | SagaCompensated
)
