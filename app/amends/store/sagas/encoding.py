"""Starts of sagas and commits of steps in the form that the database's functions take."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from app.amends.store.events.encoding import new_event_json, new_events_text
from workflows.amends.causes.failure_cause import FailureCause
from workflows.amends.history.replay_state import Checkpoint
from workflows.amends.ports.execution_log import CompensateChild, StartRequest, StepCommit
from workflows.amends.values.codec import json_text


def start_json(start: StartRequest) -> dict[str, Any]:
    """A saga to be started, without its first event, as plain JSON data."""
    return {
        "id": start.id,
        "name": start.name,
        "version": start.version,
        "reference": start.reference,
        "correlation": start.correlation_id,
        "request": start.request,
        "inputs": start.inputs,
        "deadline": start.deadline and start.deadline.total_seconds(),
        "parent": start.parent,
    }


def commit_parameters(saga: str, owner: str, step_commit: StepCommit) -> tuple[object, ...]:
    """A step commit as the parameters of `commit_step`."""
    change = step_commit.change
    return (
        saga,
        owner,
        new_events_text(step_commit.events),
        json_text(dict(step_commit.expected)),
        checkpoint_text(step_commit.checkpoint),
        change and change.status,
        change and change.reason,
        step_commit.suspend,
        _wait(step_commit),
        family_text(step_commit.start, step_commit.recall),
        list(step_commit.after),
    )


def _wait(step_commit: StepCommit) -> str | None:
    """The wait of a suspended saga as `commit_step` takes it."""
    told: dict[str, Any] = {"settled": step_commit.settled or None}
    if change := step_commit.change:
        told |= {"for": change.waiting_for, "due": change.due_at}
        told |= {"provider": change.provider, "brake": change.brake, "cause": cause_json(change.cause)}
        told["since"] = change.brake_since if change.brake else change.provider_since
    given = {name: value for name, value in told.items() if value is not None}
    return json_text(given) if given else None


def cause_json(cause: FailureCause | None) -> dict[str, Any] | None:
    """A cause as `note_cause` takes it: the saga's row has the rest."""
    if cause is None:
        return None
    return {"kind": cause.kind, "step": cause.step, "provider": cause.provider, "error": cause.error}


def family_text(start: StartRequest | None, recall: CompensateChild | None) -> str | None:
    """A child to be started or compensated as one JSON parameter."""
    if start:
        return json_text({"start": start_json(start) | {"events": [new_event_json(start.event)]}})
    if recall:
        told = {"saga": recall.saga, "reason": recall.reason, "events": [new_event_json(recall.event)]}
        return json_text({"recall": told})
    return None


def checkpoint_text(checkpoint: Checkpoint | None) -> str | None:
    """A checkpoint as one JSON parameter."""
    if checkpoint is None:
        return None
    return json_text(
        {
            "slot": checkpoint.step_id,
            "name": checkpoint.name,
            "output": checkpoint.output,
            "error": checkpoint.error,
            "started_ms": _milliseconds(checkpoint.started_at),
            "completed_ms": _milliseconds(checkpoint.completed_at),
        }
    )


def checkpoint_of(row: tuple[Any, ...]) -> Checkpoint:
    """A checkpoint from DBOS's columns; a row of another writer may lack its times."""
    step_id, name, output, error, started, completed = row
    return Checkpoint(step_id, name, output, error, _instant(started or completed or 0), _instant(completed or 0))


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
