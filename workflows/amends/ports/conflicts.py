"""The refusals of requests to sagas, by how these stand: as a request and its dry run say them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from domain.amends.errors import Conflict
from workflows.amends.history import OperatorAction

TerminatedAction: TypeAlias = Literal["compensate", "resume"]


def not_stuck(id: str, status: object, action: OperatorAction) -> Conflict:
    """The refusal to decide about a saga that is not stuck."""
    return Conflict("status", f"Workflow {id} is {status}, not stuck: there is nothing to {action}.")


def not_terminated(id: str, status: object, action: TerminatedAction) -> Conflict:
    """The refusal to go on with a saga that was not terminated in DBOS's own tools."""
    return Conflict("status", f"Workflow {id} is {status}, not abandoned: there is nothing to {action}.")


def nothing_to_cancel(id: str, status: object) -> Conflict:
    """The refusal to cancel a saga that is finished."""
    return Conflict("status", f"Workflow {id} is {status}: there is nothing to cancel any more.")


def past_pivot(id: str, pivots: Sequence[str]) -> Conflict:
    """The refusal to cancel a saga whose pivot is recorded."""
    return Conflict("status", f"Workflow {id} is past the point of no return: {', '.join(pivots)} is done.")


def nobody_waits(id: str, status: object) -> Conflict:
    """The refusal to send a signal to a saga that is finished."""
    return Conflict("status", f"Workflow {id} is {status}: nobody waits for a signal any more.")
