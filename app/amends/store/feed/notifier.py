"""Notifies followers when the feed goes on: at once of this process's commits, by a query of all others."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeAlias

from app.amends.postgres.statements.reader import Reader
from app.amends.postgres.statements.waiter import PollingWaiter
from app.amends.store.events.recent import RecentEvents
from app.amends.store.feed import SQL
from workflows.amends.ports.event_store import START, FeedCursor

LOOK_SECONDS = 0.2
"""How often the end of the feed is read while there are followers."""
LEAST_SECONDS = 0.01
"""The pause after each read: under load one read serves many commits."""
IDLE_SECONDS = 1.0
"""How often a server reads the end of the feed without followers: of later commits it is known that they come after
it."""

Followed: TypeAlias = tuple[FeedCursor, int]
"""A place beyond which a follower waits, and the turns that were counted when it began to wait."""


class FeedNotifier:
    """The end of the feed, as this process knows it. No notification is sent inside a writing transaction: it would
    take a lock that all of them share.

    The end goes back where history does. `turns` counts how often that may have happened: another run of the server
    answers then, and followers are woken to check that what they have read still stands.
    """

    def __init__(self, reader: Reader, recent: RecentEvents | None = None) -> None:
        self._reader, self._recent = reader, recent or RecentEvents()
        self._waiter = PollingWaiter("the feed", self._look, LOOK_SECONDS, LEAST_SECONDS)
        self.end: FeedCursor = START
        self.turns = 0

    def start(self) -> None:
        """Read the end of the feed also without followers, until `stop`."""
        self._waiter.start(IDLE_SECONDS)

    async def stop(self) -> None:
        await self._waiter.stop()

    def read_now(self) -> None:
        """Read the end of the feed now: this process has committed something."""
        self._waiter.ask_now()

    async def on_new_server_run(self) -> None:
        """Another run of the server answers: events that were read before may be gone."""
        self.turns += 1
        self._waiter.resolve(self._come(self._waiter.wanted))

    async def wait_beyond(self, cursor: FeedCursor, seconds: float) -> bool:
        """Wait until the feed goes further than a place, or may have gone back; False if neither within so long."""
        return self.end > cursor or bool(await self._waiter.wait((cursor, self.turns), seconds))

    async def _look(self, followed: Collection[Followed]) -> dict[Followed, bool]:
        before, self.end = self.end, await end_of_feed(self._reader)
        self._recent.note_end(self.end)
        if before != START and _may_have_gone_back(before, self.end):
            self.turns += 1
        return self._come(followed)

    def _come(self, followed: Collection[Followed]) -> dict[Followed, bool]:
        return {each: True for each in followed if self.end > each[0] or self.turns != each[1]}


async def end_of_feed(reader: Reader) -> FeedCursor:
    """The place of the last event that readers of the feed may see."""
    row = await reader.row(SQL["end"], ())
    return FeedCursor(**row) if row else START


def _may_have_gone_back(before: FeedCursor, end: FeedCursor) -> bool:
    return end < before or end.run != before.run or (end == before and end.event != before.event)
