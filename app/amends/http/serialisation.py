"""Sagas, events and states as JSON, for the API and the command line; marked values are redacted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.amends.redaction.redactor import Redactor
from app.amends.store.aggregates.difference import Change
from app.amends.store.aggregates.time_travel import StateAt
from app.amends.store.brakes import BrakeStanding
from app.amends.store.executions import ShownExecution
from app.amends.store.sagas.causes import CauseGroup
from app.amends.store.sagas.summaries import SagaDetails, SagaSummary, SagaWait
from workflows.amends.acts.dry_run import DryRun
from workflows.amends.history import Problem, SagaState, StepState
from workflows.amends.ports.event_store import FeedCursor, StoredEvent
from workflows.amends.values.codec import dump

STEPS = 200
"""Steps of a saga on one page."""


def saga_row_json(row: SagaSummary, redactor: Redactor) -> dict[str, Any]:
    """A saga in a list."""
    return {
        "id": row.id,
        "name": row.name,
        "version": row.version,
        "reference": row.reference,
        "status": row.status,
        "reason": redactor.reason(row.reason, row.id),
        "started_at": timestamp(row.started_at),
        "finished_at": timestamp(row.finished_at),
        "correlation_id": row.correlation_id,
        "waiting_for": " and ".join(map(str, row.waits)) or None,
        "waiting_until": timestamp(row.due_at),
        "waits": [_wait(wait) for wait in row.waits],
        "parent": row.parent,
        "cause": row.cause,
        "actor": row.actor,
    }


def dry_run_json(found: DryRun) -> dict[str, Any]:
    """What an act would lead to; nothing in it needs to be redacted any more."""
    shown: dict[str, Any] = dump(found, DryRun)
    return shown


def cause_json(group: CauseGroup) -> dict[str, Any]:
    """A group of what needs a person; nothing in it needs to be redacted."""
    cause = group.cause
    return {
        "cause": cause.id,
        "kind": cause.kind,
        "name": cause.name,
        "version": cause.version,
        "step": cause.step,
        "provider": cause.provider,
        "error": cause.error,
        "count": group.count,
        "more": group.more,
        "since": timestamp(group.since),
        "examples": list(group.examples),
        "acts": list(group.acts),
    }


def brake_json(standing: BrakeStanding) -> dict[str, Any]:
    """A brake in force."""
    brake = standing.brake
    return {
        "id": brake.id,
        "scope": {field: value for field, value in vars(brake.scope).items() if value is not None},
        "starts": brake.starts,
        "compensations": brake.compensations,
        "reason": brake.reason,
        "actor": brake.actor,
        "since": timestamp(brake.set_at),
        "waiting": standing.waiting,
        "more": standing.more,
    }


def saga_json(details: SagaDetails, redactor: Redactor, after: int = -1, limit: int = STEPS) -> dict[str, Any]:
    """A saga with a page of its steps: those that were started after the step with number `after`."""
    row, state, cursor, executions = details
    steps = [step for step in state.steps if step.slot > after]
    page = steps[:limit]
    waits = _waits(row, state)
    return saga_row_json(row, redactor) | {
        "waiting_for": " and ".join(map(str, waits)) or None,
        "waits": [_wait(wait) for wait in waits],
        "input": redactor.input(row.name, row.version, state.input),
        "result": redactor.result(row.name, row.version, state.result),
        "error": _problem(state.error, row.id, redactor),
        "position": str(cursor),
        "steps": [_step(step, row.id, redactor) for step in page],
        "steps_next": str(page[-1].slot) if len(steps) > limit else None,
        "executions": [_execution(each) for each in executions],
    }


def sagas_with_reasons(rows: Sequence[SagaSummary]) -> list[str]:
    """The ids of the sagas whose rows have a reason: it may repeat what an error says."""
    return [row.id for row in rows if row.reason is not None]


def sagas_with_errors(row: SagaSummary, state: SagaState) -> list[str]:
    """The id of a saga whose details repeat what an error says; none if there is no error."""
    errors = [state.error, *(each and each.error for step in state.steps for each in (step, step.compensation))]
    return [row.id] if row.reason is not None or any(errors) else []


def _waits(row: SagaSummary, state: SagaState) -> list[SagaWait]:
    """The waits of a saga: of its row, and of every concurrent step that waits for a provider or at a brake."""
    if not any(wait.kind in ("provider", "brake") for wait in row.waits):
        return row.waits
    of_steps = [SagaWait(**vars(step.awaits)) for step in state.steps if step.awaits]
    first: dict[str, SagaWait] = {}
    for wait in (*row.waits, *of_steps):
        first.setdefault(wait.name, wait)
    return list(first.values())


def _wait(wait: SagaWait) -> dict[str, Any]:
    return {"kind": wait.kind, "name": wait.name, "since": timestamp(wait.since), "until": timestamp(wait.until)}


def _execution(execution: ShownExecution) -> dict[str, Any]:
    return {
        "number": execution.number,
        "executor": execution.executor,
        "machine": execution.machine,
        "pid": execution.pid,
        "from": timestamp(execution.began_at),
        "until": timestamp(execution.ended_at),
        "began_by": execution.began_by,
        "ended_by": execution.ended_by,
    }


def event_json(event: StoredEvent, redactor: Redactor) -> dict[str, Any]:
    """An event in the shape that it was stored in, its marked values redacted.

    `masked` is `marked` then, or `unknown` if some are redacted only because this server does not know them.
    """
    data, masked = redactor.event(event)
    return {
        "id": str(event.id),
        "position": event.position,
        "stream": event.stream,
        "version": event.version,
        "type": event.name,
        "schema_version": event.schema_version,
        "data": data,
        "masked": masked,
        "metadata": event.metadata,
        "recorded_at": timestamp(event.recorded_at),
    }


def page_json(events: Sequence[StoredEvent], after: FeedCursor, redactor: Redactor) -> dict[str, Any]:
    """A page of events, and the token of the next one."""
    reached = events[-1].cursor if events else after
    return {"events": [event_json(event, redactor) for event in events], "next": str(reached)}


def state_json(found: StateAt, category: str, redactor: Redactor) -> dict[str, Any]:
    """A state, of now or of the past, its marked values redacted."""
    return {
        "stream": found.stream,
        "version": found.version,
        "position": str(found.cursor),
        "recorded_at": timestamp(found.recorded_at),
        "state": redactor.state(category, found.state),
    }


def difference_json(
    before: StateAt | None, after: StateAt, changes: Sequence[Change], category: str, redactor: Redactor
) -> dict[str, Any]:
    """The changes between two points; of a marked value that it changed, but not from what to what."""
    return {
        "stream": after.stream,
        "from": before and state_json(before, category, redactor),
        "to": state_json(after, category, redactor),
        "changes": [vars(change) for change in redactor.changes(category, changes)],
    }


def timestamp(moment: datetime | None) -> str | None:
    """A moment as RFC 3339 in UTC."""
    shown: str | None = dump(moment, datetime | None)
    return shown


def _step(step: StepState, saga: str, redactor: Redactor) -> dict[str, Any]:
    undone = step.compensation
    return {
        "name": step.name,
        "occurrence": step.occurrence,
        "kind": step.kind,
        "status": step.status,
        "attempts": step.attempts,
        "started_at": timestamp(step.started_at),
        "finished_at": timestamp(step.finished_at),
        "next_attempt_at": timestamp(step.next_at),
        "child": step.child,
        "error": _problem(step.error, saga, redactor),
        "compensation": undone
        and {
            "name": undone.name,
            "status": undone.status,
            "attempts": undone.attempts,
            "error": _problem(undone.error, saga, redactor),
        },
    }


def _problem(problem: Problem | None, saga: str, redactor: Redactor) -> dict[str, Any] | None:
    return None if problem is None else redactor.problem(problem, saga)
