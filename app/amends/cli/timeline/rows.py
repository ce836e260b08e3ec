"""The rows of a drawn timeline: for each step, compensation and wait, what lasted from when to when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from workflows.amends.history.timeline_bar import BarKind, TimelineBar

Key = tuple[str, int, str | None]


@dataclass(frozen=True)
class Span:
    """What lasted from one moment to another."""

    begin: datetime
    end: datetime
    kind: BarKind


@dataclass
class TimelineRow:
    """One row: a step, the compensation beside it, or a wait. What still lasts has no end."""

    label: str
    is_compensation: bool = False
    outcome: str = ""
    spans: list[Span] = field(default_factory=list)
    lasting: tuple[datetime, BarKind] | None = None
    due: datetime | None = None
    """When its next attempt is due."""

    def close(self, at: datetime) -> None:
        """End what lasts; the wait for a further attempt ends when that is due."""
        if self.lasting:
            begin, kind = self.lasting
            end = min(self.due, at) if self.due else at
            self.spans.append(Span(begin, max(begin, end), kind))
        self.lasting = None

    def add(self, bar: TimelineBar, at: datetime, before: datetime) -> None:
        """Add what an event of it says; `before` is when the event before that one was recorded."""
        began = self.due or _moment(bar.began_at) or before
        lasted = self.lasting is not None and self.due is None
        self.close(at)
        if bar.kind in ("done", "failed"):
            self.spans.append(Span(at if lasted else min(began, at), at, bar.kind))
        self.due = _moment(bar.next_at)
        if bar.kind in ("waits", "runs") or self.due:
            self.lasting = at, "runs" if bar.kind == "runs" else "waits"
        self.outcome = bar.outcome


@dataclass(frozen=True)
class DrawnTimeline:
    """All rows, each compensation below its step, and the time that they span."""

    rows: list[TimelineRow]
    begin: datetime
    end: datetime


def timeline_rows(events: Iterable[dict[str, Any]], now: datetime | None = None) -> DrawnTimeline | None:
    """The rows of a saga's events, oldest first, as the API shows them; None without any.

    What still lasts goes on until `now`, or until the last event if the saga does not go on.
    """
    rows: dict[Key, TimelineRow] = {}
    first = last = None
    for event in events:
        at = datetime.fromisoformat(event["recorded_at"])
        first, before = first or at, last or at
        last = at
        if bar := _bar(event):
            key = bar.step, bar.occurrence, bar.compensation
            rows.setdefault(key, TimelineRow(_label(bar), bar.compensation is not None)).add(bar, at, before)
    if first is None or last is None:
        return None
    end = max(now, last) if now else last
    for row in rows.values():
        row.close(end)
    begin = min([first, *(span.begin for row in rows.values() for span in row.spans)])
    return DrawnTimeline([*_beside(rows)], begin, end)


def _beside(rows: dict[Key, TimelineRow]) -> Iterator[TimelineRow]:
    """The rows in the order of their first events, but compensations directly below their steps."""
    undone: dict[tuple[str, int], list[TimelineRow]] = {}
    for (step, occurrence, compensation), row in rows.items():
        if compensation is not None and (step, occurrence, None) in rows:
            undone.setdefault((step, occurrence), []).append(row)
    for (step, occurrence, compensation), row in rows.items():
        if compensation is None or (step, occurrence, None) not in rows:
            yield row
            yield from undone.get((step, occurrence), ()) if compensation is None else ()


def _bar(event: dict[str, Any]) -> TimelineBar | None:
    """What an event says to a timeline; one that is not known here, or is masked whole, says nothing."""
    from workflows.amends.history import saga_event

    if not isinstance(event["data"], dict):
        return None
    try:
        return saga_event(event["type"]).timeline_bar(event["data"])
    except (KeyError, TypeError, ValueError):
        return None


def _label(bar: TimelineBar) -> str:
    name = bar.compensation or bar.step
    return f"{name} {bar.occurrence}" if bar.occurrence > 1 else name


def _moment(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
