"""Folds a stretch of events into the rows that they change; what cannot be applied sets aside only its own key."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg.rows import TupleRow

from app.projections.feed import recorded
from app.projections.rows import Rows
from domain.errors import Misdeclared
from domain.projection import Projection, Recorded
from domain.vocabulary import NewerEvent
from workflows.codec import dump
from workflows.problem import problem_of
from workflows.sensitive import cleaned, hidden_values, marks

AT_ONCE = 100
"""How many events are folded before others have their turn in this process."""
MOST = 1000
"""How many characters of an error are kept."""


@dataclass
class Aside:
    """Events of one key that wait: the first cannot be applied if there is an error, else they wait behind others."""

    error: str | None
    positions: list[int] = field(default_factory=list)


@dataclass
class Folded:
    """What a stretch comes to: rows by key (None is gone), the positions of the events in each, and who waits."""

    changed: dict[str, Any] = field(default_factory=dict)
    applied: dict[str, list[int]] = field(default_factory=dict)
    aside: dict[str, Aside] = field(default_factory=dict)

    @property
    def events(self) -> int:
        """How many events were applied."""
        return sum(map(len, self.applied.values()))


async def fold(projection: Projection[Any, Any], found: Sequence[TupleRow], rows: Rows, waiting: set[str]) -> Folded:
    """Fold events, in their order, into the rows of their keys. Keys that are waiting already are not touched.

    Raises NewerEvent if an event was written by newer code: then newer code must go on.
    """
    folded, read = Folded(), []
    for number, row in enumerate(found):
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
        read.append(keyed(projection, row))
    known = await rows.of(key for key, event in read if isinstance(event, Recorded) and key not in waiting)
    for number, (row, (key, event)) in enumerate(zip(found, read, strict=True)):
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
        if event is None:
            continue
        if held := _held(projection, key, row[3], folded.aside, waiting):
            _wait(folded, held, row)
        elif isinstance(event, str):
            _wait(folded, key, row, event)
        elif not (rows.inline and event.version <= rows.versions.get(key, 0)):
            _apply(rows, folded, known, key, row, event)
            if rows.inline and key not in folded.aside:
                rows.versions[key] = event.version
    return folded


def _apply(rows: Rows, folded: Folded, known: dict[str, Any], key: str, row: TupleRow, event: Recorded[Any]) -> None:
    try:
        known[key] = folded.changed[key] = _next(rows, known[key], event, key)
    except Exception as error:
        _wait(folded, key, row, said(error, event.event))
    else:
        folded.applied.setdefault(key, []).append(row[2])


def _next(rows: Rows, row: Any, event: Recorded[Any], key: str) -> Any:
    after = rows.next(row, event, key)
    if after is None and row is not None and rows.inline:
        raise Misdeclared(rows.name, "an inline read model keeps its rows: mark them instead of removing them")
    return after


def said(error: Exception, event: object) -> str:
    """An error in one line, without the event's values that must not be shown."""
    hidden = tuple(hidden_values(dump(event, type(event)), marks(type(event))))
    message: str = cleaned(f"{type(error).__name__}: {problem_of(error).message}", hidden)
    return message[:MOST]


def keyed(projection: Projection[Any, Any], row: TupleRow) -> tuple[str, Recorded[Any] | str | None]:
    """An event and its row's key; None in its place if it is for no row.

    If it cannot be read, or has no key, the error stands in its place, and it is its stream that has to wait.
    """
    held_as = projection.held_as(row[3])
    if held_as is None:
        return "", None
    try:
        event = recorded(projection, row)
        key = projection.key_for(event)
    except NewerEvent:
        raise
    except Exception as error:
        return held_as, f"{type(error).__name__}: {problem_of(error).message}"[:MOST]
    return (key, event) if key is not None else ("", None)


def _held(projection: Projection[Any, Any], key: str, stream: str, *waiting: Container[str]) -> str | None:
    """The key behind which an event has to wait, if there is one: its row's, or its stream's."""
    for name in (key, projection.held_as(stream) if projection.key_of else None):
        if name is not None and any(name in each for each in waiting):
            return name
    return None


def _wait(folded: Folded, key: str, row: TupleRow, error: str | None = None) -> None:
    folded.aside.setdefault(key, Aside(error)).positions.append(row[2])
