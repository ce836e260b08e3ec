"""Applies a page of events to the rows that they change; an event that cannot be applied rejects only its own key."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Container, Sequence
from dataclasses import dataclass, field
from typing import Any

from domain.amends.errors import DefinitionError
from domain.amends.projection import Projection, Recorded
from domain.amends.vocabulary import NewerEvent
from workflows.amends.history.problem import problem_of
from workflows.amends.ports.projection_builds import FeedEvent
from workflows.amends.projections.failures import storable_text
from workflows.amends.projections.feed import recorded_event
from workflows.amends.projections.row_cache import RowCache
from workflows.amends.redaction.sensitive import hidden_values, marked_shape, without_values
from workflows.amends.values.codec import dump

AT_ONCE = 100
"""How many events are applied before other work of this process goes on."""

Skipped = Collection[int]
"""Positions of events that are left out: each belongs to one row, whatever key a version of the code gives it."""


@dataclass
class RejectedEvents:
    """Events of one key that are set aside: with an error the first cannot be applied, else all wait behind others."""

    error: str | None
    positions: list[int] = field(default_factory=list)
    type: str = ""
    """The name of the first one."""


@dataclass
class AppliedPage:
    """A page as applied: rows by key (None is removed), positions of the events in each, and what is set aside."""

    changed: dict[str, Any] = field(default_factory=dict)
    applied: dict[str, list[int]] = field(default_factory=dict)
    rejected: dict[str, RejectedEvents] = field(default_factory=dict)

    @property
    def events(self) -> int:
        """How many events were applied."""
        return sum(map(len, self.applied.values()))


async def apply_page(
    projection: Projection[Any, Any],
    found: Sequence[FeedEvent],
    rows: RowCache,
    waiting: Collection[str],
    skipped: Skipped = (),
) -> AppliedPage:
    """Apply events, in their order, to the rows of their keys. Keys that are waiting already are not touched.

    Raises NewerEvent if an event was written by newer code: then newer code must go on.
    """
    page, read = AppliedPage(), []
    for number, each in enumerate(found):
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
        read.append(key_and_event(projection, each))
    known = await rows.load(key for key, event in read if isinstance(event, Recorded) and key not in waiting)
    for number, (each, (key, event)) in enumerate(zip(found, read, strict=True)):
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
        if event is None or each.position in skipped:
            continue
        if held := _key_in_the_way(projection, key, each.stream, page.rejected, waiting):
            _set_aside(page, held, each)
        elif isinstance(event, str):
            _set_aside(page, key, each, event)
        elif not rows.inline or event.version > rows.versions.get(key, 0):
            _apply(page, rows, known, key, event, each)
    return page


def _apply(
    page: AppliedPage, rows: RowCache, known: dict[str, Any], key: str, event: Recorded[Any], found: FeedEvent
) -> None:
    """Apply one event to the row of its key, or reject it."""
    if key in rows.unreadable:
        _set_aside(page, key, found, rows.unreadable[key])
        return
    try:
        known[key] = page.changed[key] = _next(rows, known[key], event, key)
    except Exception as error:
        _set_aside(page, key, found, error_message(error, event.event))
        return
    page.applied.setdefault(key, []).append(found.position)
    if rows.inline:
        rows.versions[key] = event.version


def _next(rows: RowCache, row: Any, event: Recorded[Any], key: str) -> Any:
    after = rows.next_row(row, event, key)
    if after is None and row is not None and rows.inline:
        raise DefinitionError(rows.name, "an inline read model keeps its rows: mark them instead of removing them")
    return after


def error_message(error: Exception, event: object) -> str:
    """An error in one line, without the event's marked values."""
    hidden = tuple(hidden_values(dump(event, type(event)), marked_shape(type(event))))
    message: str = without_values(f"{type(error).__name__}: {problem_of(error).message}", hidden)
    return storable_text(message)


def key_and_event(projection: Projection[Any, Any], found: FeedEvent) -> tuple[str, Recorded[Any] | str | None]:
    """The key of an event's row, and the event; None if it is for no row.

    If it cannot be read, or has no key, the error stands in its place, and its stream has to wait.
    """
    held_as = projection.dead_letter_key(found.stream)
    if held_as is None:
        return "", None
    try:
        event = recorded_event(projection, found)
        key = projection.key_for(event)
    except NewerEvent:
        raise
    except Exception as error:
        return held_as, storable_text(f"{type(error).__name__}: {problem_of(error).message}")
    return (key, event) if key is not None else ("", None)


def _names(projection: Projection[Any, Any], key: str, stream: str) -> tuple[str, ...]:
    """Under which keys an event may wait: its row's, and where there is a `key_of` its stream's."""
    held_as = projection.dead_letter_key(stream) if projection.key_of else None
    return (key,) if held_as is None else (key, held_as)


def _key_in_the_way(projection: Projection[Any, Any], key: str, stream: str, *waiting: Container[str]) -> str | None:
    """The key behind which an event has to wait, if there is one."""
    names = _names(projection, key, stream)
    return next((name for name in names if any(name in each for each in waiting)), None)


def _set_aside(page: AppliedPage, key: str, found: FeedEvent, error: str | None = None) -> None:
    page.rejected.setdefault(key, RejectedEvents(error, type=found.name)).positions.append(found.position)
