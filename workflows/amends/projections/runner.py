"""Follows the feed for one build of a read model: rows and checkpoint in one commit, and no other runner beside it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Protocol

from domain.amends.errors import Contended, Unavailable, Unstorable
from domain.amends.projection import Projection
from workflows.amends.background import cancel_tasks
from workflows.amends.ports.event_store import FeedCursor
from workflows.amends.ports.projection_builds import BuildTarget, FeedPage, LeaseLost, ProjectionBuild, ServerChanged
from workflows.amends.ports.projection_store import RunnerStore
from workflows.amends.projections.apply import AppliedPage, apply_page
from workflows.amends.projections.failures import short_key
from workflows.amends.projections.feed import ProjectionFeed
from workflows.amends.projections.row_cache import RowCache
from workflows.amends.projections.writer import PageCommit, ProjectionWriter

log = logging.getLogger("amends.projections")

RENEW_SECONDS = 3.0
"""How often a runner that has nothing to write renews its lease, notes how far it has looked, and checks that its table
is still what the code writes."""
LOOK_SECONDS = 1.0
"""How often a runner that waits for new events looks for requested actions."""
SMALL, LARGE = 500, 5_000
"""How many events a commit takes at least and at most while there are more to come."""
LONGEST_COMMIT = 0.1
"""How long a commit may take, in seconds, before the next ones take fewer events: an open one stops the feed."""


class FeedWaiter(Protocol):
    """Whoever knows how far the feed goes."""

    async def wait_beyond(self, cursor: FeedCursor, seconds: float) -> bool:
        """Wait until the feed goes further than a place, or may have gone back; False if neither within so long."""
        ...


class Runner:
    """One runner of one build, in this process.

    `token` is its name in the lease, `<executor>/<anything>`: a different one for each that may run at the same time.
    `clock` counts seconds.
    """

    def __init__(
        self,
        projection: Projection[Any, Any],
        target: BuildTarget,
        store: RunnerStore,
        feed_notifier: FeedWaiter,
        token: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.projection, self.target, self._store = projection, target, store
        self._feed_notifier, self._token, self._clock = feed_notifier, token, clock
        self._feed = ProjectionFeed(projection, target, store)
        self._writer = ProjectionWriter(projection, target, store, token)
        self._rows = RowCache(projection, target, store.rows_json)
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
            log.info("%s build %d is followed elsewhere now, or was dropped.", *self.target.as_tuple)
        except Exception as error:
            if not self._store.errors.is_store_away(error) and await self._is_gone():
                log.info("%s build %d was dropped.", *self.target.as_tuple)
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
        await self._writer.require_same_table()
        return await self._store.take_lease(self.target, self._token)

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
        return await self._build() is None

    async def _note(self, error: Exception) -> None:
        if self._store.errors.is_store_away(error):
            return
        with suppress(Unavailable, Contended, Unstorable):
            await self._store.note_failure(self.target, self._token, self._store.errors.failure_reason(error))

    async def _give_back(self) -> None:
        await cancel_tasks(self._ahead, self._writing, self._counting)
        self._ahead = self._writing = None
        with suppress(Unavailable, Contended):  # then it is over soon
            await self._store.release_lease(self.target, self._token)

    async def _begin(self) -> None:
        """Read the checkpoint anew: the holder of the lease before may have written until now.

        Also where another run of the server answers: the checkpoint went back then with the events that are gone, if
        any are, and rows in memory may come from such events.
        """
        build = await self._build()
        if build is None or build.runner != self._token:
            raise LeaseLost
        self._cursor = self._looked = build.cursor
        self._run = build.run
        self._caught_up = self._caught_up and build.caught_up_at is not None
        self._renewed_at, self._failed = self._clock(), build.failure is not None
        if build.caught_up_at is None and not build.expected and self._counting is None:
            self._counting = asyncio.create_task(self._store.note_expected_events(self.target, self._feed.types))
        if self._ahead:
            self._ahead.cancel()
            self._ahead = None
        self._set_aside = await self._store.dead_letter_keys(self.target)
        self._skipped = await self._store.skipped_positions(self.target.name)
        self._rows = RowCache(self.projection, self.target, self._store.rows_json)

    async def _build(self) -> ProjectionBuild | None:
        found = await self._store.builds(self.target.name, patiently=True)
        return next((each for each in found if each.build == self.target.build), None)

    async def _next_page(self) -> None:
        """Apply one page of the feed, or wait for more. A page is applied while the one before it is written."""
        if self.action_requested and await self._written():
            self.action_requested = False
            await self._perform_requested()
        found = await (self._ahead or self._feed.page_after(self._looked, self._limit))
        self._ahead = None
        if found.run not in (None, self._run):
            raise ServerChanged
        if found.end is None:
            if await self._written():
                await self._rest()
            return
        if found.full:
            self._ahead = asyncio.create_task(self._feed.page_after(found.end, self._limit))
        page = await apply_page(self.projection, found.events, self._rows, self._set_aside, self._skipped)
        if not await self._written():
            return  # the one before had to leave something out: this one is applied anew
        self._looked = found.end
        if page.changed or page.rejected or (not found.full and (found.events or not self._caught_up)):
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
        await self._feed_notifier.wait_beyond(self._looked, LOOK_SECONDS)

    async def _renew(self) -> None:
        if self._clock() - self._renewed_at > RENEW_SECONDS:
            await self._writer.require_same_table()
            await self._write(AppliedPage(), caught_up=self._caught_up)

    async def _perform_requested(self) -> None:
        for key, action in await self._store.requested_actions(self.target):
            found = await self._store.dead_letter_events(self.target, key)
            left_out = [(key, each.position) for each in found[: action == "skip"]]
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
        self._rows.note_written(page.changed)
        commit = PageCommit(page, self._cursor, self._looked, known, caught_up, self._run, cleared, skipped)
        return self._commit(commit)

    async def _commit(self, commit: PageCommit) -> bool:
        began = self._clock()
        fits = await self._writer.write(commit, self._rows)
        self._cursor, self._renewed_at = commit.end, self._clock()
        self._caught_up, self._failed, self.wrote = self._caught_up or commit.caught_up, False, True
        self._adapt(self._renewed_at - began)
        return fits
