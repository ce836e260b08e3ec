"""Commits pages to one build of a read model: rows, checkpoint and rejected events, all or nothing."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from domain.amends.projection import Projection
from workflows.amends.ports.event_store import FeedCursor
from workflows.amends.ports.projection_builds import BuildCommit, BuildTarget, RejectedKey
from workflows.amends.ports.projection_store import RunnerStore
from workflows.amends.projections.apply import AppliedPage
from workflows.amends.projections.failures import short_key
from workflows.amends.projections.rejected_rows import reject_rows
from workflows.amends.projections.row_cache import RowCache
from workflows.amends.projections.table_check import require_same_table

log = logging.getLogger("amends.projections")


@dataclass(frozen=True)
class PageCommit:
    """A page to be committed, the checkpoints before and after it, the keys that were set aside before, and the run of
    the server in which it was read.

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

    def __init__(self, projection: Projection[Any, Any], target: BuildTarget, store: RunnerStore, token: str) -> None:
        self._projection, self._target, self._store, self._token = projection, target, store, token

    async def write(self, commit: PageCommit, rows: RowCache) -> bool:
        """Commit; False if rows that do not fit had to be rejected before.

        Raises LeaseLost, ServerChanged, and errors that pass or are about the table.
        """
        fits = True
        try:
            await self._store.commit(self._stored(commit, rows))
        except Exception as refused:
            if not self._store.errors.is_about_row(refused):
                raise
            await self.require_same_table()
            await reject_rows(self._projection, self._target, commit.page, rows, self._store)
            await self._store.commit(self._stored(commit, rows))
            fits = False
        for key, rejected in commit.page.rejected.items():
            if key not in commit.known:
                what = f"{rejected.type} at position {rejected.positions[0]}"
                log.warning(
                    "%s build %d: %s is set aside, %s: %s", *self._target.as_tuple, short_key(key), what, rejected.error
                )
        return fits

    async def require_same_table(self) -> None:
        """Raise TableChanged if the table is not what the code writes; a missing view is made again."""
        shape = await self._store.table_shape(self._target, patiently=True)
        if require_same_table(self._projection, self._target, shape):
            await self._store.restore_view(self._target.name)

    def _stored(self, commit: PageCommit, rows: RowCache) -> BuildCommit:
        page = commit.page
        return BuildCommit(
            self._target,
            self._token,
            commit.run,
            commit.begin,
            commit.end,
            page.events,
            rows.rows_json(row for row in page.changed.values() if row is not None),
            [key for key, row in page.changed.items() if row is None],
            [
                RejectedKey(key, None if key in commit.known else each.error or "", each.positions)
                for key, each in page.rejected.items()
            ],
            commit.caught_up,
            commit.cleared,
            commit.skipped,
        )
