"""Balances of accounts with Amends: caught up with, rebuilt, and followed while others write and read."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

from sqlalchemy import URL

from app.amends.postgres.connections.pool import Pool
from app.amends.postgres.statements.committer import Committer
from app.amends.postgres.statements.reader import Reader
from app.amends.projections.postgres_projections import PostgresProjections
from app.amends.projections.row_queries import ReadModelQueries
from app.amends.store.events.postgres_events import PostgresEvents
from app.amends.store.events.writer import EventWriter
from app.amends.store.feed.notifier import FeedNotifier
from domain.amends.event import Cause
from domain.banking import MoneyDeposited
from domain.banking.account_balances import account_balances
from workflows.amends.ports.event_store import AppendResult, new_business_event
from workflows.amends.ports.projection_builds import BuildTarget, ProjectionBuild
from workflows.amends.projections.administration import ProjectionAdministration
from workflows.amends.projections.builds import ProjectionBuilds
from workflows.amends.projections.runner import Runner

NAME = account_balances.name
RATE = 500
OPEN = """
select coalesce(max(extract(epoch from clock_timestamp() - xact_start)), 0)::float8 as seconds
  from pg_stat_activity where backend_xid is not null and pid <> pg_backend_pid()"""
"""How long the oldest transaction has been open that holds the feed back."""


@dataclass
class Board:
    """The read model, and those who write to it and read it."""

    builds: ProjectionBuilds
    events: PostgresEvents
    views: ReadModelQueries
    committer: Committer
    reader: Reader
    feed_notifier: FeedNotifier
    lags: list[float] = field(default_factory=list)
    open: list[float] = field(default_factory=list)
    reads: int = 0

    def runner(self, build: ProjectionBuild) -> Runner:
        target = BuildTarget(NAME, build.build)
        return Runner(account_balances, target, self.builds.store, self.feed_notifier, f"bench/{uuid4()}")

    @property
    def acts(self) -> ProjectionAdministration:
        return ProjectionAdministration(self.builds)

    async def rebuild(self) -> ProjectionBuild:
        """Begin a table beside the live one."""
        begun = await self.acts.rebuild(NAME, Cause())
        return await self.builds.get(NAME, begun["build"])

    async def append(self, number: int, rows: int) -> None:
        """Append, and wait until a reader of the read model sees it."""
        event = new_business_event(f"account-{number % rows}", MoneyDeposited(1), Cause())
        appended = await self.events.append([event])
        assert isinstance(appended, AppendResult)
        began = time.perf_counter()
        assert await self.views.wait_for(NAME, appended.cursor, 60.0)
        self.lags.append(time.perf_counter() - began)

    async def write(self, rows: int, until: asyncio.Event) -> None:
        """Append so many events a second, whatever becomes of the ones before."""
        waiting: set[asyncio.Task[None]] = set()
        began, number = time.perf_counter(), 0
        while not until.is_set():
            due = int((time.perf_counter() - began) * RATE)
            for each in range(number, due):
                task = asyncio.create_task(self.append(each, rows))
                waiting.add(task)
                task.add_done_callback(waiting.discard)
            number = due
            await asyncio.sleep(0.005)
        await asyncio.gather(*waiting)

    async def read(self, rows: int, until: asyncio.Event) -> None:
        """Read rows all the time, and look how long the feed is held back."""
        while not until.is_set():
            assert await self.views.row(NAME, str(self.reads % rows))
            self.reads += 1
            found = await self.reader.row(OPEN, ())
            self.open.append(found["seconds"] if found else 0.0)
            await asyncio.sleep(0.02)


@asynccontextmanager
async def board(url: URL) -> AsyncIterator[Board]:
    """The read model on a database with the rights of the service."""
    readers, committer = Pool(url, 8), Committer(url, 8)
    async with readers:
        committer.start()
        reader = Reader(readers)
        feed_notifier, projections = FeedNotifier(reader), PostgresProjections(committer, reader)
        committer.on_commit = projections.on_commit = feed_notifier.read_now
        builds = ProjectionBuilds({(NAME, 1): account_balances}, projections)
        events = PostgresEvents(EventWriter(committer), reader)
        try:
            yield Board(builds, events, ReadModelQueries(builds, events), committer, reader, feed_notifier)
        finally:
            await feed_notifier.stop()
            await committer.stop()


async def rebuild(url: URL) -> tuple[float, int]:
    """Build a table from the first event on, and drop it; returns how long that took and how many events it were."""
    async with board(url) as it:
        await it.builds.create_first_builds()
        build = await it.rebuild()
        began = time.perf_counter()
        await it.runner(build).catch_up()
        took = time.perf_counter() - began
        events = (await it.builds.get(NAME, build.build)).events
        await it.acts.drop(NAME, build.build, Cause())
        return took, events


async def under_load(url: URL, rows: int, seconds: float, with_rebuild: bool) -> dict[str, float]:
    """Follow while 500 events a second are appended and somebody reads, with or without a rebuild beside it."""
    async with board(url) as it:
        await it.builds.create_first_builds()
        live = next(build for build in await it.builds.all(NAME) if build.state == "live")
        await it.runner(live).catch_up()
        stop = asyncio.Event()
        following = asyncio.create_task(it.runner(live).run())
        tasks = [asyncio.create_task(it.write(rows, stop)), asyncio.create_task(it.read(rows, stop))]
        began, events = time.perf_counter(), 0
        if with_rebuild:
            build = await it.rebuild()
            began = time.perf_counter()
            await it.runner(build).catch_up()
            events = (await it.builds.get(NAME, build.build)).events
        else:
            await asyncio.sleep(seconds)
        took = time.perf_counter() - began
        stop.set()
        await asyncio.gather(*tasks)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        if with_rebuild:
            await it.acts.drop(NAME, build.build, Cause())
        return _figures(it, took, events)


def _figures(it: Board, took: float, events: int) -> dict[str, float]:
    lags = sorted(it.lags)
    return {
        "seconds": round(took, 2),
        "per_second": round(events / took, 1),
        "appends": len(lags),
        "lag_p50_ms": round(statistics.median(lags) * 1000, 1),
        "lag_p99_ms": round(lags[int(len(lags) * 0.99)] * 1000, 1),
        "lag_max_ms": round(lags[-1] * 1000, 1),
        "held_back_max_ms": round(max(it.open, default=0.0) * 1000, 1),
        "reads": it.reads,
    }
