"""A saga that is to be started: what it is asked for, and everything that its first life needs to know."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime
from typing import Any, Final

from pydantic import JsonValue

from domain.amends.errors import Unstorable
from domain.amends.event import Cause
from workflows.amends.history import SagaStarted, saga_histories
from workflows.amends.ports.event_store import new_amends_event
from workflows.amends.ports.execution_log import StartRequest
from workflows.amends.saga import Saga
from workflows.amends.values.codec import digest, json_text
from workflows.amends.values.printable import error_repr
from workflows.amends.values.storable import require_storable

LONGEST_REFERENCE: Final = 500
LONGEST_ID: Final = 400
"""Characters; a child's id is its parent's and more, so that only children of children can get there."""


def start_request(
    saga: Saga[Any, Any],
    request: object,
    given: JsonValue,
    id: str,
    cause: Cause,
    at: datetime,
    parent: str | None = None,
) -> StartRequest:
    """A request to start a saga, which is queued unless it is given an owner.

    `given` is `request`, the saga's input, as plain data; `at` is the time by the clock of its store. Raises Unstorable
    if the saga has no proper reference for it.
    """
    definition, correlation = saga.definition, cause.correlation_id or id
    if len(id) > LONGEST_ID:
        raise Unstorable(f"the id of {definition.name}, {id[:50]}…, would have more than {LONGEST_ID} characters")
    called = require_reference(saga, request)
    told = SagaStarted(definition.name, definition.version, called, id, given)
    whole = replace(cause, correlation_id=correlation, workflow_id=id)
    started = at.isoformat(timespec="milliseconds")
    origin = {"version": definition.version, "root": id, "started": started} | _origin(whole)
    if parent is not None:
        origin["parent"] = parent
    return StartRequest(
        id=id,
        name=definition.name,
        version=definition.version,
        reference=called,
        correlation_id=correlation,
        request=digest([definition.name, given]),
        inputs=json_text({"positionalArgs": [given], "namedArgs": origin}),
        event=new_amends_event(saga_histories.stream(id), told, whole),
        deadline=definition.deadline,
        parent=parent,
    )


def require_reference(saga: Saga[Any, Any], request: object) -> str:
    """The business's own name for an instance, looked at before it is stored: an index has to take it.

    Raises Unstorable if there is no proper one.
    """
    what = f"the reference of {saga.definition.name}"
    try:
        called = saga.reference(request)
    except BaseException as error:
        raise Unstorable(f"{what} cannot be told: {error_repr(error)}") from error
    if not isinstance(called, str) or len(called) > LONGEST_REFERENCE:
        raise Unstorable(f"{what} must be a text of at most {LONGEST_REFERENCE} characters")
    require_storable(called, what)
    return called


def _origin(cause: Cause) -> dict[str, str]:
    """What of a cause is kept in the workflow's input, for all its executions."""
    kept = ("correlation_id", "actor", "traceparent")
    return {name: value for name, value in asdict(cause).items() if name in kept and value is not None}
