"""What an event says to a timeline that draws bars of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

BarKind = Literal["done", "failed", "waits", "runs", "ends"]
"""`done` and `failed` end an attempt; `waits` and `runs` last until the next event of the same row, such as `ends`."""
OPERATOR = "operator"


@dataclass(frozen=True)
class TimelineBar:
    """A part of one row of a timeline: of a step, of the compensation beside it, or, with occurrence 0, of a wait.

    `began_at` is when the step began, if that is known, and `next_at` when its next attempt is due, as RFC 3339.
    """

    step: str
    occurrence: int
    kind: BarKind
    outcome: str = ""
    compensation: str | None = None
    began_at: str | None = None
    next_at: str | None = None


def step_bar(data: Mapping[str, Any], kind: BarKind, outcome: str) -> TimelineBar:
    """The bar of an event of a step, or of a compensation if its data name one."""
    attempts = data.get("attempts") or 0
    told = f"{outcome}, attempt {attempts}" if attempts > 1 else outcome
    compensation = data.get("compensation")
    began = None if compensation else data.get("started_at")
    return TimelineBar(str(data["step"]), int(data["occurrence"]), kind, told, compensation, began, data.get("next_at"))
