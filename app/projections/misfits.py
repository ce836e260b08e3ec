"""Finds the rows that a table does not take, such as one with a number that is too large, and sets only them aside."""

from __future__ import annotations

from typing import Any

import psycopg

from app.projections import SQL
from app.projections.feed import recorded
from app.projections.folding import Aside, Folded
from app.projections.rows import Ask, Rows
from app.store.sqlstates import said
from domain.projection import Projection


async def set_misfits_aside(
    projection: Projection[Any, Any], where: tuple[str, int], folded: Folded, rows: Rows, ask: Ask
) -> None:
    """Cut off of a fold every event after which a row does not fit, with all of its key that come after it."""
    for key, row in list(folded.changed.items()):
        if row is not None and await _refused(where, rows.one(row), ask):
            await _cut(projection, where, folded, key, rows, ask)


async def _cut(
    projection: Projection[Any, Any], where: tuple[str, int], folded: Folded, key: str, rows: Rows, ask: Ask
) -> None:
    """Apply a key's events once more, one by one, up to the one after which its row does not fit."""
    before = Rows(projection, *where, ask)  # what is written; the runner's own are ahead of that
    row = (await before.of([key]))[key]
    positions = folded.applied.pop(key)
    del folded.changed[key]
    for number, found in enumerate(await ask(SQL["events_at"], (positions,))):
        event = recorded(projection, found)
        after = before.next(row, event, key)
        before.versions[key] = event.version
        error = await _refused(where, before.one(after), ask) if after is not None else None
        if error:
            behind = folded.aside.pop(key, Aside(None)).positions
            folded.aside[key] = Aside(error, [*positions[number:], *behind])
            return
        row = folded.changed[key] = after
        rows.versions[key] = event.version
        folded.applied.setdefault(key, []).append(positions[number])


async def _refused(where: tuple[str, int], row: str, ask: Ask) -> str | None:
    """Why the table does not take a row, None if it does."""
    try:
        ((error,),) = await ask(SQL["try_row"], (*where, row))
    except (psycopg.Error, UnicodeError) as refused:  # what may pass is asked again by the reader
        return said(refused)
    found: str | None = error
    return found
