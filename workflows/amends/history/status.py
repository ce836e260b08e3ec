"""The words for how a saga stands, and its steps and their compensations, as they are stored and shown."""

from __future__ import annotations

from typing import Literal

Status = Literal[
    "queued", "running", "waiting", "compensating", "completed", "compensated", "stuck", "stranded", "abandoned"
]
"""`stranded` is a saga that no code here is compatible with, `abandoned` one that was terminated externally."""

StepStatus = Literal["completed", "refused", "retrying", "failed", "unknown", "compensated", "skipped", "running"]
CompensationStatus = Literal["completed", "retrying", "failed", "skipped", "resolved"]

OperatorAction = Literal["retry", "skip", "resolve"]
"""What an operator may do about a stuck saga."""

FINISHED: frozenset[Status] = frozenset({"completed", "compensated"})
INACTIVE: frozenset[Status] = frozenset({*FINISHED, "stuck", "stranded", "abandoned"})
"""The statuses in which nothing more happens unless an operator acts."""

TIMER = "timer"
"""What a saga waits for that sleeps."""
