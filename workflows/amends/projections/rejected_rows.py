"""Finds the rows that a table does not take, such as one with a number that is too large, and rejects only them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from domain.amends.projection import Projection
from workflows.amends.ports.projection_builds import BuildTarget
from workflows.amends.ports.projection_store import RowTrial, RunnerStore
from workflows.amends.projections.apply import AppliedPage, RejectedEvents, error_message
from workflows.amends.projections.feed import recorded_event
from workflows.amends.projections.row_cache import RowCache


async def reject_rows(
    projection: Projection[Any, Any], target: BuildTarget, page: AppliedPage, rows: RowCache, store: RunnerStore
) -> None:
    """Cut off of a page every event after which a row does not fit, with all later ones of its key.

    The page is tried as a whole, in a transaction that is rolled back: two rows may be in each other's way only. Raises
    errors that are not about a row.
    """
    async with store.row_trial(target) as trial:
        trying = _Trial(projection, target, page, rows, trial, store)
        await trying.fit([key for key, row in page.changed.items() if row is None])
        await trying.fit([key for key, row in page.changed.items() if row is not None])


class _Trial:
    """Tries which rows of a page the table takes."""

    def __init__(
        self,
        projection: Projection[Any, Any],
        target: BuildTarget,
        page: AppliedPage,
        rows: RowCache,
        trial: RowTrial,
        store: RunnerStore,
    ) -> None:
        self._projection, self._page, self._rows = projection, page, rows
        self._trial, self._errors = trial, store.errors
        self._before = RowCache(projection, target, lambda _, keys: trial.rows_json(keys))
        """The rows in the table; those of the runner are ahead of it."""

    async def fit(self, keys: Sequence[str]) -> None:
        """Put the rows of these keys into the table, halving them until the one that does not fit is alone."""
        if not keys or await self._refused(self._rows, {key: self._page.changed[key] for key in keys}) is None:
            return
        if len(keys) == 1:
            await self._cut(keys[0])
            return
        await self.fit(keys[: len(keys) // 2])
        await self.fit(keys[len(keys) // 2 :])

    async def _cut(self, key: str) -> None:
        """Apply a key's events once more, one by one, up to the one after which its row does not fit."""
        row = (await self._before.load([key]))[key]
        error = self._before.unreadable.get(key)
        positions = self._page.applied.pop(key)
        del self._page.changed[key]
        for number, found in enumerate(await self._trial.events_at(positions)):
            event = recorded_event(self._projection, found)
            if error is None:
                try:
                    row = self._before.next_row(row, event, key)
                except Exception as failed:  # the row was changed by hand since it was read
                    error = error_message(failed, event.event)
            if error is None:
                self._before.versions[key] = event.version
                error = await self._refused(self._before, {key: row})
            if error is not None:
                behind = self._page.rejected.pop(key, RejectedEvents(None)).positions
                self._page.rejected[key] = RejectedEvents(error, [*positions[number:], *behind], found.name)
                return
            self._page.changed[key] = row
            self._rows.versions[key] = event.version
            self._page.applied.setdefault(key, []).append(positions[number])

    async def _refused(self, rows: RowCache, changed: dict[str, Any]) -> str | None:
        """Why the table does not take these rows, None if it does; None for a row takes it out."""
        try:
            written = rows.rows_json(row for row in changed.values() if row is not None)
            await self._trial.put_rows(written, [key for key, row in changed.items() if row is None])
        except Exception as error:
            if not self._errors.is_about_row(error):
                raise
            return self._errors.one_line_message(error)
        return None
