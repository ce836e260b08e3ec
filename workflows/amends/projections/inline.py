"""Brings inline read models up to their streams in the commit that appends the events, as far as that is possible."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from domain.amends.projection import Projection
from domain.amends.vocabulary import NewerEvent
from workflows.amends.ports.event_store import NewEvent
from workflows.amends.ports.projection_builds import BuildTarget, KnownProjections
from workflows.amends.ports.projection_store import ErrorClassifier, InlineTransaction
from workflows.amends.projections.apply import apply_page
from workflows.amends.projections.failures import short_key
from workflows.amends.projections.feed import types_of
from workflows.amends.projections.row_cache import RowCache
from workflows.amends.projections.table_check import TableChanged, require_same_table

log = logging.getLogger("amends.projections")

PAUSE_SECONDS = 1.0
"""How long a build that cannot be written is left to its runner."""


class InlineWriter:
    """The inline read models of this code, in all their builds.

    A row has the version of its stream that is in it, and the events after that are applied: it does not matter whether
    another server, without this code, has appended some. The runner that follows the feed does the same. So no read
    model keeps an append from being committed: a row that cannot be written now is left to the runner.
    """

    def __init__(
        self, known: KnownProjections, errors: ErrorClassifier, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._errors, self._clock = errors, clock
        self._same: set[BuildTarget] = set()
        self._not_before: dict[BuildTarget, float] = {}
        self._projections = [each for each in known.values() if each.mode == "inline"]
        self._types = {type for each in self._projections for type in types_of(each)}

    def recheck_tables(self) -> None:
        """Compare each table with the code once more: it may be another one than before."""
        self._same.clear()

    def writes_for(self, events: Iterable[NewEvent]) -> bool:
        """Whether an inline read model reads one of these."""
        return bool(self._types) and any(event.type.name in self._types for event in events)

    async def write(self, transaction: InlineTransaction, events: Sequence[NewEvent]) -> None:
        """Write the read models in a transaction that has appended the events and holds their streams."""
        for projection in self._projections:
            types = set(types_of(projection))
            streams = sorted({event.stream for event in events if event.type.name in types})
            keys = [(stream, key) for stream in streams if (key := projection.of.key(stream)) is not None]
            if keys:
                for build in await transaction.builds_of(projection.name, projection.version):
                    for stream, key in keys:
                        await self._bring_up(transaction, projection, BuildTarget(projection.name, build), stream, key)

    async def _bring_up(
        self,
        transaction: InlineTransaction,
        projection: Projection[Any, Any],
        target: BuildTarget,
        stream: str,
        key: str,
    ) -> None:
        """Bring one row up to its stream, if possible; a failure changes nothing.

        The rest is left to the runner, which sets the key aside, or notes what is wrong with the table. Raises errors
        of a store that is away.
        """
        if self._clock() < self._not_before.get(target, 0.0):
            return
        try:
            async with transaction.savepoint():
                if target not in self._same:
                    require_same_table(projection, target, await transaction.table_shape(target))
                await _write(transaction, projection, target, stream, key)
        except (TableChanged, NewerEvent) as waits:
            self._left(target, waits)
        except Exception as error:
            if self._errors.is_store_away(error):
                raise
            if self._errors.is_about_row(error):
                why = self._errors.failure_reason(error)
                log.debug("%s: the row of %s is left to the runner: %s", projection.name, short_key(key), why)
            else:
                self._left(target, error)
        else:
            self._same.add(target)

    def _left(self, target: BuildTarget, error: Exception) -> None:
        """Leave a build to its runner for a while, so that not every append meets the same error."""
        self._same.discard(target)
        self._not_before[target] = self._clock() + PAUSE_SECONDS
        expected = self._errors.is_expected(error)
        log.log(
            logging.DEBUG if expected else logging.ERROR,  # the runner logs it
            "%s build %d is left to its runner: %s",
            *target.as_tuple,
            self._errors.failure_reason(error),
            exc_info=None if expected else error,
        )


async def _write(
    transaction: InlineTransaction, projection: Projection[Any, Any], target: BuildTarget, stream: str, key: str
) -> None:
    """Bring one row up to its stream, as far as its events can be applied."""
    rows = RowCache(projection, target, transaction.rows_json)
    is_set_aside, left_out = await transaction.dead_letter_state(target, key)
    if not is_set_aside:
        await rows.load([key])
        later = await transaction.later_events(stream, rows.versions.get(key, 0), types_of(projection))
        page = await apply_page(projection, later, rows, (), left_out)
        changed = [row for row in page.changed.values() if row is not None]
        if changed and not page.rejected:
            await transaction.put_rows(target, rows.rows_json(changed))
    await transaction.reset_timeouts()
