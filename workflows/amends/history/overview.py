"""The overview of all sagas: one line for each, with how it ended, how long it took, and what went wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from domain.amends.projection import Projection, Recorded
from workflows.amends.history.events import (
    CompensationFailed,
    OperatorActed,
    OperatorResumed,
    SagaAbandoned,
    SagaCompensated,
    SagaCompensating,
    SagaCompleted,
    SagaResumed,
    SagaStarted,
    SagaStranded,
    SagaStuck,
    SagaWaiting,
    Status,
    StepCompensated,
    StepCompleted,
    StepFailed,
    StepRefused,
    StepRetrying,
    WaitEnded,
)
from workflows.amends.history.state import TIMER, saga_histories

Compensation = Literal["none", "running", "done", "stuck"]


@dataclass(frozen=True)
class SagaRow:
    """`outcome` is None until it is finished; `failing_step` is the last one that was refused, failed or got stuck."""

    id: str
    name: str
    version: int
    reference: str
    status: Status
    outcome: Literal["completed", "compensated"] | None
    reason: str | None
    started_at: datetime
    changed_at: datetime
    finished_at: datetime | None = None
    duration_seconds: float | None = None
    waiting_for: str | None = None
    steps_completed: int = 0
    steps_compensated: int = 0
    retries: int = 0
    failing_step: str | None = None
    failing_error: str | None = None
    compensation: Compensation = "none"


Fact = (
    SagaStarted
    | StepCompleted
    | StepRefused
    | StepRetrying
    | StepFailed
    | SagaWaiting
    | WaitEnded
    | SagaCompensating
    | CompensationFailed
    | StepCompensated
    | SagaStuck
    | OperatorActed
    | OperatorResumed
    | SagaStranded
    | SagaResumed
    | SagaAbandoned
    | SagaCompleted
    | SagaCompensated
)


def evolve(row: SagaRow | None, recorded: Recorded[Fact]) -> SagaRow | None:
    event, at = recorded.event, recorded.at
    if isinstance(event, SagaStarted):
        return SagaRow(recorded.key, event.name, event.version, event.reference, "running", None, None, at, at)
    change = _CHANGES.get(type(event))
    if row is None or change is None:
        return row
    return replace(row, **({"changed_at": at} | change(row, event, at)))


def _failing(row: SagaRow, event: Any, at: datetime) -> dict[str, Any]:
    return {"failing_step": event.step, "failing_error": event.error.message}


def _stuck(row: SagaRow, event: SagaStuck, at: datetime) -> dict[str, Any]:
    compensation: Compensation = "stuck" if event.compensation else row.compensation
    changes = {"status": "stuck", "reason": event.reason, "compensation": compensation}
    if event.step:
        error = event.error.message if event.error else event.reason
        changes |= {"failing_step": event.step, "failing_error": error}
    return changes


def _going_on(row: SagaRow, event: object, at: datetime) -> dict[str, Any]:
    back = row.compensation != "none"
    compensation: Compensation = "running" if back else "none"
    return {"status": "compensating" if back else "running", "reason": None, "compensation": compensation}


def _finished(row: SagaRow, status: str, at: datetime) -> dict[str, Any]:
    took = (at - row.started_at).total_seconds()
    return {"status": status, "outcome": status, "finished_at": at, "duration_seconds": took, "waiting_for": None}


_CHANGES: dict[type[Any], Callable[[SagaRow, Any, datetime], dict[str, Any]]] = {
    StepCompleted: lambda row, event, at: {"steps_completed": row.steps_completed + 1},
    StepRetrying: lambda row, event, at: {"retries": row.retries + 1},
    StepRefused: _failing,
    StepFailed: _failing,
    SagaWaiting: lambda row, event, at: {"status": "waiting", "waiting_for": event.signal or TIMER},
    WaitEnded: lambda row, event, at: {"status": "running", "waiting_for": None},
    SagaCompensating: lambda row, event, at: {
        "status": "compensating",
        "outcome": None,
        "finished_at": None,
        "duration_seconds": None,
        "waiting_for": None,
        "reason": event.reason,
        "compensation": "running",
    },
    CompensationFailed: lambda row, event, at: {"retries": row.retries + 1},
    StepCompensated: lambda row, event, at: {"steps_compensated": row.steps_compensated + 1},
    SagaStuck: _stuck,
    OperatorActed: _going_on,
    OperatorResumed: _going_on,
    SagaResumed: _going_on,
    SagaStranded: lambda row, event, at: {"status": "stranded", "reason": event.reason},
    SagaAbandoned: lambda row, event, at: {"status": "abandoned", "reason": event.reason},
    SagaCompleted: lambda row, event, at: _finished(row, "completed", at) | {"reason": None},
    SagaCompensated: lambda row, event, at: (
        _finished(row, "compensated", at) | {"reason": event.reason, "compensation": "done"}
    ),
}


workflow_overview = Projection(
    "workflow_overview",
    version=1,
    of=saga_histories,
    evolve=evolve,
    key="id",
    indexes=[("status", "started_at"), ("name", "started_at"), ("reference",)],
)
