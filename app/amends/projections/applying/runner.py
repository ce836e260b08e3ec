"""Follows the feed for one build of a read model: rows and checkpoint in one commit, and no other runner beside it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any

from app.amends.postgres.statements.committer import Committer
from app.amends.postgres.statements.reader import Reader
from app.amends.projections import SQL
from app.amends.projections.applying.apply import AppliedPage, apply_page
from app.amends.projections.applying.feed import FeedPage, ProjectionFeed
from app.amends.projections.applying.row_cache import RowCache
from app.amends.projections.applying.writer import (
    LEASE,
    BuildTarget,
    LeaseLost,
    PageCommit,
    ProjectionWriter,
    ServerChanged,
)
from app.amends.projections.counting import count_events
from app.amends.projections.failures import failure_text, is_database_away, short_key
from app.amends.store.feed.notifier import FeedNotifier
from domain.amends.errors import Contended, Unavailable, Unstorable
from domain.amends.projection import Projection
from workflows.amends.background import end
from workflows.amends.ports.event_store import FeedCursor

log = logging.getLogger("amends.projections")

RENEW_SECONDS = 3.0
"""How often a runner that has nothing to write renews its lease, notes how far it has looked, and checks that its table
is still what the code writes."""
GIVE_BACK_SECONDS = 2.0
LOOK_SECONDS = 1.0
"""How often a runner that waits for new events looks for requested actions."""
SMALL, LARGE = 500, 5_000
"""How many events a commit takes at least and at most while there are more to come."""
LONGEST_COMMIT = 0.1
"""How long a commit may take, in seconds, before the next ones take fewer events: an open one stops the feed."""


class Runner:
    """One runner of one build, in this process.

    `token` is its name in the lease, `<executor>/<anything>`: a different one for each that may run at the same time.
    """

    def __init__(
        self,
        projection: Projection[Any, Any],
        target: BuildTarget,
        committer: Committer,
        reader: Reader,
        feed_notifier: FeedNotifier,
        token: str,
    ) -> None:
        self.projection, self.target, self.reader = projection, target, reader
        self._committer, self._feed_notifier = committer, feed_notifier
        self._token = token
        self._feed = ProjectionFeed(projection, target.build, reader)
        self._writer = ProjectionWriter(projection, target, reader, token)
        self._rows = RowCache(projection, *target.where, self._writer.ask)
        self._cursor, self._looked, self._run = FeedCursor(), FeedCursor(), 0
        self._set_aside: set[str] = set()
        self._skipped: set[int] = set()
        self._limit, self._renewed_at = SMALL, 0.0
        self._caught_up = self._failed = False
        self._ahead: asyncio.Task[FeedPage] | None = None
        self._writing: asyncio.Task[bool] | None = None
        self._counting: asyncio.Task[None] | None = None
        self.action_requested = False
        """Whether an operator has requested an action for a key that is set aside."""
        self.wrote = False
        """Whether it has committed something since it began."""

    async def run(self) -> None:
        """Take the lease and follow the feed until the lease is lost; returns at once if another runner has it.

        Raises the error that keeps it from going on. Unless that passes by itself, it is noted in the database, if no
        other runner follows the feed for this build.
        """
        try:
            if await self._take():
                await self._follow(for_ever=True)
        except LeaseLost:
            log.info("%s build %d is followed elsewhere now, or was dropped.", *self.target.where)
        except Exception as error:
            if not is_database_away(error) and await self._is_gone():
                log.info("%s build %d was dropped.", *self.target.where)
                return
            await self._note(error)
            raise

    async def catch_up(self) -> None:
        """Follow the feed to its end once. Raises LeaseLost if another runner does, and what `run` does."""
        try:
            if not await self._take():
                raise LeaseLost
            await self._follow(for_ever=False)
        except LeaseLost:
            raise
        except Exception as error:
            await self._note(error)
            raise

    async def _take(self) -> bool:
        await self._writer.require_same()
        (taken,) = await self._committer.run(SQL["take"], (*self.target.where, self._token, LEASE))
        return bool(taken[0])

    async def _follow(self, for_ever: bool) -> None:
        try:
            await self._begin()
            while for_ever or not self._caught_up:
                try:
                    await self._next_page()
                except ServerChanged:
                    await self._begin()
        finally:
            await self._give_back()

    async def _is_gone(self) -> bool:
        return not any(each["build"] == self.target.build for each in await self._builds())

    async def _note(self, error: Exception) -> None:
        if is_database_away(error):
            return
        noted = {"failure": failure_text(error), "runner": self._token} | vars(self.target)
        with suppress(Unavailable, Contended, Unstorable):
            await self._committer.run(SQL["failed"], noted, GIVE_BACK_SECONDS)

    async def _give_back(self) -> None:
        await end(self._ahead, self._writing, self._counting)
        self._ahead = self._writing = None
        with suppress(Unavailable, Contended):  # then it is over soon
            await self._committer.run(SQL["give_back"], (*self.target.where, self._token), GIVE_BACK_SECONDS)

    async def _begin(self) -> None:
        """Read the checkpoint anew: the holder of the lease before may have written until now.

        Also where another run of the server answers: the checkpoint went back then with the events that are gone, if
        any are, and rows in memory may come from such events.
        """
        row = next((each for each in await self._builds() if each["build"] == self.target.build), None)
        if row is None or row["runner"] != self._token:
            raise LeaseLost
        self._cursor = self._looked = FeedCursor(row["generation"], row["transaction_id"], row["position"])
        self._run = row["run"]
        self._caught_up = self._caught_up and row["caught_up_at"] is not None
        self._renewed_at, self._failed = time.monotonic(), row["failure"] is not None
        if row["caught_up_at"] is None and not row["expected"] and self._counting is None:
            self._counting = asyncio.create_task(self._count())
        if self._ahead:
            self._ahead.cancel()
            self._ahead = None
        keys = await self.reader.tuples(SQL["aside_keys"], self.target.where, patience=None)
        self._set_aside = {key for (key,) in keys}
        left_out = await self.reader.tuples(SQL["skipped_positions"], (self.target.name,), patience=None)
        self._skipped = {position for (position,) in left_out}
        self._rows = RowCache(self.projection, *self.target.where, self._writer.ask)

    async def _count(self) -> None:
        expected = await count_events(self.reader, self._feed.types)
        await self._committer.run(SQL["expect"], {"expected": expected} | vars(self.target))

    async def _builds(self) -> list[dict[str, Any]]:
        return await self.reader.rows(SQL["builds"], {"name": self.target.name}, patience=None)

    async def _next_page(self) -> None:
        """Apply one page of the feed, or wait for more. A page is applied while the one before it is written."""
        if self.action_requested and await self._written():
            self.action_requested = False
            await self._perform_requested()
        found = await (self._ahead or self._feed.after(self._looked, self._limit))
        self._ahead = None
        if found.run not in (None, self._run):
            raise ServerChanged
        if found.end is None:
            if await self._written():
                await self._rest()
            return
        if found.full:
            self._ahead = asyncio.create_task(self._feed.after(found.end, self._limit))
        page = await apply_page(self.projection, found.rows, self._rows, self._set_aside, self._skipped)
        if not await self._written():
            return  # the one before had to leave something out: this one is applied anew
        self._looked = found.end
        if page.changed or page.rejected or (not found.full and (found.rows or not self._caught_up)):
            self._writing = asyncio.create_task(self._write(page, caught_up=not found.full))
            if not found.full or self._rows.inline:
                await self._written()
        else:
            await self._renew()

    async def _written(self) -> bool:
        """Wait until the last page is committed; False if it had to be changed. Raises LeaseLost and ServerChanged."""
        if self._writing is None:
            return True
        writing, self._writing = self._writing, None
        if await writing:
            return True
        await self._begin()
        return False

    def _adapt(self, seconds: float) -> None:
        grown = self._limit * 2 if seconds < LONGEST_COMMIT / 2 else self._limit
        self._limit = min(max(self._limit // 2 if seconds > LONGEST_COMMIT else grown, SMALL), LARGE)

    async def _rest(self) -> None:
        """At the end of the feed: note that once, and wait for more."""
        if not self._caught_up or self._failed:
            await self._write(AppliedPage(), caught_up=True)
            return
        await self._renew()
        await self._feed_notifier.beyond(self._looked, LOOK_SECONDS)

    async def _renew(self) -> None:
        if time.monotonic() - self._renewed_at > RENEW_SECONDS:
            await self._writer.require_same()
            await self._write(AppliedPage(), caught_up=self._caught_up)

    async def _perform_requested(self) -> None:
        requested = await self.reader.tuples(SQL["requested_actions"], self.target.where, patience=None)
        for key, action in requested:
            found = await self.reader.tuples(SQL["aside_events"], (*self.target.where, key), patience=None)
            left_out = [(key, each[2]) for each in found[: action == "skip"]]
            self._skipped.update(position for _, position in left_out)
            others = self._set_aside - {key}
            page = await apply_page(self.projection, found[len(left_out) :], self._rows, others, self._skipped)
            if not await self._write(page, caught_up=self._caught_up, cleared=(key, action), skipped=left_out):
                await self._begin()
            log.info("%s: %s of %s.", self.target.name, action, short_key(key))

    def _write(
        self,
        page: AppliedPage,
        caught_up: bool,
        cleared: tuple[str, str] | tuple[None, None] = (None, None),
        skipped: Sequence[tuple[str, int]] = (),
    ) -> Coroutine[Any, Any, bool]:
        """Begin to commit a page: the next one is applied on top of it. The answer is False if it had to be changed.

        Raises LeaseLost and ServerChanged.
        """
        known = self._set_aside - {cleared[0]}
        self._set_aside = known | page.rejected.keys()
        self._rows.keep(page.changed)
        commit = PageCommit(page, self._cursor, self._looked, known, caught_up, self._run, cleared, skipped)
        return self._commit(commit)

    async def _commit(self, commit: PageCommit) -> bool:
        began = time.monotonic()
        fits = await self._writer.write(commit, self._rows)
        self._cursor, self._renewed_at = commit.end, time.monotonic()
        self._caught_up, self._failed, self.wrote = self._caught_up or commit.caught_up, False, True
        self._adapt(self._renewed_at - began)
        return fits
