"""The history of a saga as a timeline: what happened when, and on which executor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.amends.sensitive import MASK
from workflows.amends.values.printable import escaped


@dataclass(frozen=True)
class TimelineEntry:
    """One line of a timeline; `seconds` counts from the first event."""

    seconds: float
    what: str
    detail: str
    executor: str


def timeline_entries(events: Iterable[dict[str, Any]]) -> Iterator[TimelineEntry]:
    """The lines of a saga's events, oldest first, as the API shows them."""
    first: datetime | None = None
    for event in events:
        at, data = datetime.fromisoformat(event["recorded_at"]), event["data"]
        first = first or at
        executor = str(event["metadata"].get("executor", ""))
        yield TimelineEntry((at - first).total_seconds(), event["type"], _detail(event, data), executor)


def _detail(event: dict[str, Any], data: Any) -> str:
    from workflows.amends.history import saga_event

    if not isinstance(data, dict) or (data and all(value == MASK for value in data.values())):
        return "(unknown here)"
    return saga_event(event["type"]).timeline_summary(data, str(event["metadata"].get("workflow_id", "")))


def timeline_lines(moments: Iterable[TimelineEntry]) -> Iterator[str]:
    """Moments as aligned text, a line each; an executor is named where it changes."""
    known = ""
    for moment in moments:
        where = f"   on {moment.executor}" if moment.executor and moment.executor != known else ""
        known = moment.executor or known
        yield escaped(f"{moment.seconds:8.3f} s  {moment.what:<20} {moment.detail}{where}")
