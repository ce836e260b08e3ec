"""Sagas and events as JSON, the way INTERFACE promises them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from app.store.feed import Place
from app.store.overview import Row
from workflows.codec import dump
from workflows.story import Problem, StepTold, Story

EVENT_FIELDS = ("position", "stream", "version", "type", "schema_version", "data", "metadata")


def shown_row(row: Row) -> dict[str, Any]:
    """A saga in a list."""
    return {
        "id": row.id,
        "name": row.name,
        "version": row.version,
        "reference": row.reference,
        "status": row.status,
        "reason": row.reason,
        "started_at": at(row.started_at),
        "finished_at": at(row.finished_at),
        "correlation_id": row.correlation_id,
    }


def shown_saga(row: Row, story: Story, place: Place) -> dict[str, Any]:
    """A saga in full."""
    return shown_row(row) | {
        "input": story.input,
        "result": story.result,
        "error": _problem(story.error),
        "position": str(place),
        "waiting_for": None,
        "steps": [_step(step) for step in story.steps],
    }


def shown_event(row: dict[str, Any]) -> dict[str, Any]:
    """An event as it stands in the table."""
    return {"id": str(row["id"])} | {name: row[name] for name in EVENT_FIELDS} | {"recorded_at": at(row["recorded_at"])}


def at(moment: datetime | None) -> str | None:
    """A moment as RFC 3339 in UTC."""
    shown: str | None = dump(moment, datetime | None)
    return shown


def _step(step: StepTold) -> dict[str, Any]:
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
        "error": _problem(step.error),
        "compensation": undone
        and {
            "name": undone.name,
            "status": undone.status,
            "attempts": undone.attempts,
            "error": _problem(undone.error),
        },
    }


def _problem(problem: Problem | None) -> dict[str, Any] | None:
    if problem is None:
        return None
    return {"name": problem.name, "message": problem.message, "facts": problem.facts}
