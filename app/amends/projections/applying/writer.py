"""Commits pages to one build of a read model: rows, checkpoint and rejected events, all or nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from psycopg.rows import TupleRow

from app.amends.postgres.statements.reader import Reader
from app.amends.projections import SQL
from app.amends.projections.applying.apply import AppliedPage, RejectedEvents
from app.amends.projections.applying.rejected_rows import reject_rows
from app.amends.projections.applying.row_cache import RowCache
from app.amends.projections.failures import is_about_row, may_pass, short_key
from app.amends.projections.table_check import require_same_table
from domain.amends.projection import Projection
from workflows.amends.ports.event_store import FeedCursor
from workflows.amends.values.codec import text

log = logging.getLogger("amends.projections")

LEASE = timedelta(seconds=10)
"""The longest lease that the database allows: migrations/amends/sql/0018_followed_read_models.sql."""
TRIES, PAUSE_SECONDS = 3, 0.2
"""How often a commit is tried whose error may pass in a moment, before a row or the table is blamed."""


class LeaseLost(Exception):
    """Another runner follows the feed for this build now, or it was dropped; nothing was written."""


class ServerChanged(Exception):
    """Another run of the database server answers than the one in which the page was read; nothing was written."""


@dataclass(frozen=True)
class BuildTarget:
    """One build of a read model, which has a table of its own."""

    name: str
    build: int

    @property
    def where(self) -> tuple[str, int]:
        """Name and number, as statements take them."""
        return self.name, self.build


@dataclass(frozen=True)
class PageCommit:
    """One commit: a page, the checkpoints before and after it, the keys that were set aside before, and the run of the
    server in which it was read.

    `cleared` are a key that is set aside no longer and the action that was requested for it; `skipped` are the events
    that this action leaves out, by key and position.
    """

    page: AppliedPage
    begin: FeedCursor
    end: FeedCursor
    known: set[str]
    caught_up: bool
    run: int
    cleared: tuple[str, str] | tuple[None, None] = (None, None)
    skipped: Sequence[tuple[str, int]] = field(default=())


class ProjectionWriter:
    """Writes to one build in the name of one runner."""

    def __init__(self, projection: Projection[Any, Any], target: BuildTarget, reader: Reader, token: str) -> None:
        self._projection, self._target, self._reader, self._token = projection, target, reader, token

    async def write(self, commit: PageCommit, rows: RowCache) -> bool:
        """Commit; False if rows that do not fit had to be rejected before.

        Raises LeaseLost, ServerChanged, and errors that pass or are about the table.
        """
        fits = True
        try:
            stands = await self._write_again(commit, rows)
        except Exception as refused:
            if not is_about_row(refused):
                raise
            await self.require_same()
            await reject_rows(self._projection, self._target.where, commit.page, rows, self._reader)
            stands, fits = await self._write_once(commit, rows), False
        if not stands:
            raise LeaseLost
        for key, rejected in commit.page.rejected.items():
            if key not in commit.known:
                name, build = self._target.where
                what = f"{rejected.type} at position {rejected.positions[0]}"
                log.warning("%s build %d: %s is set aside, %s: %s", name, build, short_key(key), what, rejected.error)
        return fits

    async def require_same(self) -> None:
        """Raise TableChanged if the table is not what the code writes; a missing view is made again."""
        if await require_same_table(self._projection, *self._target.where, self.ask):
            await self.ask(SQL["restore_view"], (self._target.name,))

    async def ask(self, statement: str, parameters: Sequence[Any] | Mapping[str, Any]) -> list[TupleRow]:
        """Run a statement once; the caller of the runner tries again."""
        async with self._reader.connection() as connection:
            return await (await connection.execute(statement, parameters)).fetchall()

    async def _write_again(self, commit: PageCommit, rows: RowCache) -> bool:
        for left in reversed(range(TRIES)):
            try:
                return await self._write_once(commit, rows)
            except Exception as refused:
                if not left or not may_pass(refused):
                    raise
            await asyncio.sleep(PAUSE_SECONDS)
        raise AssertionError("unreachable")

    async def _write_once(self, commit: PageCommit, rows: RowCache) -> bool:
        """Write once. If the answer is lost, the checkpoint, read anew, says whether it was carried out."""
        ((stands,),) = await self.ask(SQL["write"], self._parameters(commit, rows))
        if stands is None:
            raise ServerChanged
        return bool(stands)

    def _parameters(self, commit: PageCommit, rows: RowCache) -> dict[str, Any]:
        changed = commit.page.changed
        return {
            "name": self._target.name,
            "build": self._target.build,
            "runner": self._token,
            "lease": LEASE,
            "run": commit.run,
            "from": list(commit.begin),
            "to": list(commit.end),
            "events": commit.page.events,
            "rows": rows.json(row for row in changed.values() if row is not None),
            "gone": [key for key, row in changed.items() if row is None],
            "cleared": commit.cleared[0],
            "granted": commit.cleared[1],
            "aside": _rejected_json(commit.page.rejected, commit.known),
            "skipped": text([{"key": key, "position": position} for key, position in commit.skipped]),
            "caught_up": commit.caught_up,
        }


def _rejected_json(rejected: Mapping[str, RejectedEvents], known: set[str]) -> str:
    """Rejected events as the database's function takes them: an error for a new key, none for events behind another."""
    return text(
        [
            {"key": key, "error": None if key in known else each.error or "", "positions": each.positions}
            for key, each in rejected.items()
        ]
    )
