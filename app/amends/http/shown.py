"""Sagas and events as JSON, the way INTERFACE promises them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.amends.redaction.redactor import Redactor
from app.amends.store.aggregates.difference import Change
from app.amends.store.aggregates.time_travel import StateAt
from app.amends.store.sagas.overview import Row, Wait
from workflows.amends.history import Problem, SagaState, StepState
from workflows.amends.ports.event_store import FeedCursor, StoredEvent
from workflows.amends.values.codec import dump

STEPS = 200
"""How many steps of a saga are shown at a time."""


def shown_row(row: Row, redactor: Redactor) -> dict[str, Any]:
    """A saga in a list."""
    return {
        "id": row.id,
        "name": row.name,
        "version": row.version,
        "reference": row.reference,
        "status": row.status,
        "reason": redactor.said(row.reason, row.id),
        "started_at": at(row.started_at),
        "finished_at": at(row.finished_at),
        "correlation_id": row.correlation_id,
        "waiting_for": " and ".join(map(str, row.waits)) or None,
        "waiting_until": at(row.due_at),
        "waits": [_wait(wait) for wait in row.waits],
        "parent": row.parent,
    }


def shown_saga(
    row: Row, state: SagaState, cursor: FeedCursor, redactor: Redactor, after: int = -1, limit: int = STEPS
) -> dict[str, Any]:
    """A saga with a page of its steps, those that were started after the one with number `after`.

    Everything is shown without marked values.
    """
    steps = [step for step in state.steps if step.slot > after]
    page = steps[:limit]
    waits = _waits(row, state)
    return shown_row(row, redactor) | {
        "waiting_for": " and ".join(map(str, waits)) or None,
        "waits": [_wait(wait) for wait in waits],
        "input": redactor.input(row.name, row.version, state.input),
        "result": redactor.result(row.name, row.version, state.result),
        "error": _problem(state.error, row.id, redactor),
        "position": str(cursor),
        "steps": [_step(step, row.id, redactor) for step in page],
        "steps_next": str(page[-1].slot) if len(steps) > limit else None,
    }


def said_of(rows: Sequence[Row]) -> list[str]:
    """The sagas of which something is said in a list."""
    return [row.id for row in rows if row.reason is not None]


def said_in(row: Row, state: SagaState) -> list[str]:
    """The saga itself, if something is said in it because of an error."""
    errors = [state.error, *(each and each.error for step in state.steps for each in (step, step.compensation))]
    return [row.id] if row.reason is not None or any(errors) else []


def _waits(row: Row, state: SagaState) -> list[Wait]:
    """What a saga waits for: of steps at the same time, each that waits for a provider."""
    if not any(wait.kind == "provider" for wait in row.waits):
        return row.waits
    told = [Wait("provider", *vars(step.awaits).values()) for step in state.steps if step.awaits]
    first: dict[str, Wait] = {}
    for wait in (*row.waits, *told):
        first.setdefault(wait.name, wait)
    return list(first.values())


def _wait(wait: Wait) -> dict[str, Any]:
    return {"kind": wait.kind, "name": wait.name, "since": at(wait.since), "until": at(wait.until)}


def shown_event(event: StoredEvent, redactor: Redactor) -> dict[str, Any]:
    """An event as it stands in the table, in the shape that it was stored in, its marked values masked.

    `masked` says so: `marked`, or `unknown` if some are masked only because this server does not know them.
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
        "recorded_at": at(event.recorded_at),
    }


def shown_page(events: Sequence[StoredEvent], after: FeedCursor, redactor: Redactor) -> dict[str, Any]:
    """Some events, and the place to go on from."""
    reached = events[-1].cursor if events else after
    return {"events": [shown_event(event, redactor) for event in events], "next": str(reached)}


def shown_state(found: StateAt, category: str, redactor: Redactor) -> dict[str, Any]:
    """A state of the past or of today, its marked values masked."""
    return {
        "stream": found.stream,
        "version": found.version,
        "position": str(found.cursor),
        "recorded_at": at(found.recorded_at),
        "state": redactor.state(category, found.state),
    }


def shown_difference(
    before: StateAt | None, after: StateAt, changes: Sequence[Change], category: str, redactor: Redactor
) -> dict[str, Any]:
    """What changed between two points; that a marked value changed is shown, but not what it was and is."""
    return {
        "stream": after.stream,
        "from": before and shown_state(before, category, redactor),
        "to": shown_state(after, category, redactor),
        "changes": [vars(change) for change in redactor.changes(category, changes)],
    }


def at(moment: datetime | None) -> str | None:
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
        "started_at": at(step.started_at),
        "finished_at": at(step.finished_at),
        "next_attempt_at": at(step.next_at),
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
