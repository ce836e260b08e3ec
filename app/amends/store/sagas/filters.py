"""Filters of lists of sagas, and the conditions in SQL that they come to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, get_args

from domain.amends.errors import Invalid
from workflows.amends.causes.normalised_error import LONGEST_ERROR, normalised
from workflows.amends.history import Status

CONDITIONS: Final = {
    "name": "name = %(name)s",
    "version": "version = %(version)s",
    "status": "status = %(status)s",
    "reference": "reference = %(reference)s",
    "correlation_id": "correlation_id = %(correlation_id)s",
    "parent": "parent = %(parent)s",
    "actor": "actor = %(actor)s",
    "started_after": "started_at >= %(started_after)s",
    "started_before": "started_at < %(started_before)s",
    "before_at": "(started_at, id) < (%(before_at)s, %(before_id)s)",
}
"""The conditions of a list; a statement holds only those that are asked for, so that each kind of list has its plan."""
CAUSE: Final = "coalesce(cause, compensation_cause)"
"""What a list goes by where a cause is asked for: that of the suspension while it lasts, else of the compensation."""
_CAUSE: Final = re.compile(r"c-[0-9a-f]{12}")
_LARGEST_VERSION: Final = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class SagaFilters:
    """The filters of a list: a saga must match all of them. Raises Invalid for a value that none can match.

    `step` is the one at which a saga is suspended, `error` a part of the error of its cause, as causes show it; `actor`
    is who started it. It was started at `started_after` or later, and before `started_before`.
    """

    name: str | None = None
    version: int | None = None
    status: str | None = None
    reference: str | None = None
    step: str | None = None
    error: str | None = None
    actor: str | None = None
    cause: str | None = None
    started_after: datetime | None = None
    started_before: datetime | None = None
    correlation_id: str | None = None
    parent: str | None = None

    def __post_init__(self) -> None:
        known = get_args(Status)
        if self.status is not None and self.status not in known:
            raise Invalid("status", f"must be one of {', '.join(known)}")
        if self.version is not None and not 1 <= self.version <= _LARGEST_VERSION:
            raise Invalid("version", "must be a whole number from 1 on, such as 2")
        if self.cause is not None and not _CAUSE.fullmatch(self.cause):
            raise Invalid("cause", "must be the id of a cause, such as c-0123456789ab; /workflows/causes lists them")
        if self.error is not None and not 1 <= len(self.error) <= LONGEST_ERROR:
            raise Invalid("error", f"must have 1 to {LONGEST_ERROR} characters: a part of an error in a list of causes")
        if self.started_after and self.started_before and self.started_after >= self.started_before:
            raise Invalid("started_before", "must be later than started_after")

    @property
    def needs_causes(self) -> bool:
        """Whether sagas are looked for by what is said of their causes."""
        return (self.cause, self.step, self.error) != (None, None, None)

    def parameters(self) -> dict[str, Any]:
        """All filters as parameters of a statement."""
        error = None if self.error is None else normalised(self.error).lower()
        return vars(self) | {"error": error, "before_at": None, "before_id": None}


def conditions(parameters: Mapping[str, Any]) -> str:
    """The conditions for the parameters that are given."""
    return " and ".join(_asked(parameters)) or "true"


def _asked(parameters: Mapping[str, Any]) -> Iterator[str]:
    return (condition for name, condition in CONDITIONS.items() if parameters[name] is not None)
