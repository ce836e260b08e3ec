"""A saga's row in the overview of all of them: how it ended, how long it took, and what went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from workflows.amends.history.status import Status

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

    def active_columns(self) -> dict[str, Any]:
        """The columns of a saga that goes on where it was."""
        back = self.compensation != "none"
        compensation: Compensation = "running" if back else "none"
        return {"status": "compensating" if back else "running", "reason": None, "compensation": compensation}

    def finished_columns(self, status: Status, at: datetime) -> dict[str, Any]:
        """The columns of a saga that is finished."""
        took = (at - self.started_at).total_seconds()
        return {"status": status, "outcome": status, "finished_at": at, "duration_seconds": took, "waiting_for": None}
