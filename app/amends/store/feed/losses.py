"""Notices lost commits: recent events are looked for once another run of the database server answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from app.amends.postgres.statements.committer import Committer
from app.amends.postgres.statements.reader import Reader
from app.amends.store.events.postgres_events import PostgresEvents
from app.amends.store.events.recent import RecentEvent, RecentEvents
from app.amends.store.feed import SQL
from app.amends.store.feed.notifier import end_of_feed
from workflows.amends.ports.event_store import FeedCursor

log = logging.getLogger("amends.store")

KEPT: Final = 100
"""Losses that are written again if their record is lost itself."""
TOLD: Final = 50
"""The most sagas that one line of the log names."""
WENT_BACK: Final = (
    "History went back: at least %d events that were committed are gone, from %s to %s. The last place before them "
    "that still stands is %s. The database has lost commits, and whoever has read further than that is told so."
)


class Losses:
    """The losses that one process has noticed, under the name of its `executor`; `times` and `events` count them."""

    def __init__(
        self,
        recent: RecentEvents,
        events: PostgresEvents,
        committer: Committer,
        reader: Reader,
        executor: Callable[[], str],
    ) -> None:
        self._recent, self._committer, self._reader = recent, committer, reader
        self._all_events, self._executor = events, executor
        self._noted = dict[int, tuple[object, ...]]()
        self.times = self.events = 0

    async def on_new_server_run(self) -> None:
        """Another run of the server answers: check that recent events still stand, and records of earlier losses.
        Raises Unavailable."""
        for (lost,) in await self._reader.tuples(SQL["lost_notes"], (list(self._noted),)):
            await self._note(self._noted.pop(lost))
        gone = await self._gone()
        self._recent.rewind(await end_of_feed(self._reader))
        if not gone:
            return
        stands = await self._all_events.last_on_record(gone[0].known_cursor)
        first, last, cursor = (
            str(gone[0]),
            str(gone[-1]),
            (stands.generation, str(stands.transaction_id), stands.position),
        )
        await self._note((self._executor(), *cursor, len(gone), first, last))
        self._recent.forget(gone)
        self.times, self.events = self.times + 1, self.events + len(gone)
        log.warning(WENT_BACK, len(gone), first, last, stands)
        starts = [each.starts for each in gone if each.starts]
        for number in range(0, len(starts), TOLD):
            named = ", ".join(starts[number : number + TOLD])
            log.warning("The database has lost the start of these sagas; start them again: %s", named)

    async def _note(self, noted: tuple[object, ...]) -> None:
        """Put a loss on record; the record may be lost by the next crash, and is written again then."""
        rows = await self._committer.run(SQL["note_loss"], noted)
        self._noted[int(rows[0][0])] = noted
        while len(self._noted) > KEPT:
            self._noted.pop(next(iter(self._noted)))

    async def _gone(self) -> Sequence[RecentEvent]:
        """The recent events that are gone, in the order of the feed as far as that is known."""
        known = self._recent.all()
        positions = [each.cursor and each.cursor.position for each in known]
        rows = await self._reader.tuples(SQL["gone"], ([each.id for each in known], positions))
        return sorted((known[number - 1] for (number,) in rows), key=_order)


def _order(known: RecentEvent) -> FeedCursor:
    return known.known_cursor
