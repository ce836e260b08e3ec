"""A saga that is to be started: what it is asked for, and everything that its first life needs to know."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from pydantic import JsonValue

from domain.event import Cause
from workflows.codec import digest, load, text
from workflows.events import record
from workflows.ports import Start
from workflows.saga import Saga
from workflows.story import SagaStarted, stories


def starting(saga: Saga[Any, Any], given: JsonValue, id: str, cause: Cause, parent: str | None = None) -> Start:
    """Order a saga with an input in plain data; it will be queued unless it is given an owner."""
    definition, correlation = saga.definition, cause.correlation_id or id
    reference = saga.reference(load(given, definition.input))
    told = SagaStarted(definition.name, definition.version, reference, id, given)
    whole = replace(cause, correlation_id=correlation, workflow_id=id)
    started = datetime.now(UTC).isoformat(timespec="milliseconds")
    origin = {"version": definition.version, "root": id, "started": started} | _origin(whole)
    if parent is not None:
        origin["parent"] = parent
    return Start(
        id=id,
        name=definition.name,
        version=definition.version,
        reference=reference,
        correlation_id=correlation,
        request=digest([definition.name, given]),
        inputs=text({"positionalArgs": [given], "namedArgs": origin}),
        event=record(stories.stream(id), told, whole),
        deadline=definition.deadline,
        parent=parent,
    )


def _origin(cause: Cause) -> dict[str, str]:
    """What of a cause is kept in the workflow's input, for all its lives."""
    kept = ("correlation_id", "actor", "traceparent")
    return {name: value for name, value in asdict(cause).items() if name in kept and value is not None}
