"""The store of read models under test: the same words lead to the one in memory and to the one in Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import psycopg
from psycopg.rows import dict_row
from sqlalchemy import URL

from app.amends.postgres.sql_files import load_statements
from app.amends.postgres.urls import conninfo
from app.amends.projections.inline import InlineProjections
from app.amends.store.events.postgres_events import PostgresEvents
from app.amends.store.events.writer import EventWriter
from tests.amends.contracts.projections.shelves import FIRST, KNOWN
from tests.amends.store.harness.sagas import store
from workflows.amends.ports.event_store import EventStore, FeedCursor
from workflows.amends.ports.projection_store import ProjectionStore
from workflows.amends.projections.builds import ProjectionBuilds
from workflows.amends.projections.runner import Runner
from workflows.amends.simulation.memory.events import MemoryEvents
from workflows.amends.simulation.memory.rows import ManualClock
from workflows.amends.simulation.read_models.inline import InlineEvents
from workflows.amends.simulation.read_models.store import MemoryProjections

SQL = load_statements(Path(__file__).with_name("postgres.sql"))


class Side(Protocol):
    """A store of read models with its events; its clock only moves when it is told to."""

    store: ProjectionStore
    events: EventStore
    clock: ManualClock
    runners: dict[str, Runner]

    async def empty(self) -> None:
        """Forget everything, and make the first builds."""
        ...

    async def tell_time(self, at: datetime) -> None: ...

    async def end_executor(self, executor: str) -> None:
        """Let nobody wait for its leases."""
        ...

    async def restart(self) -> None:
        """Another run of the server answers from now on."""
        ...

    async def settled(self) -> None:
        """Wait until readers of the feed may see all that was written."""
        ...

    async def set_aside(self) -> Sequence[Mapping[str, Any]]:
        """All keys that are set aside, with the positions of their events."""
        ...


@dataclass
class MemorySide:
    """The store in memory."""

    clock: ManualClock = field(default_factory=ManualClock)
    runners: dict[str, Runner] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)

    async def empty(self) -> None:
        self.clock.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.runners.clear()
        self.ended.clear()
        events = MemoryEvents(lambda: self.clock.now)
        self.memory = MemoryProjections(events, self.clock, self.ended.__contains__)
        self.store: ProjectionStore = self.memory
        self.events: EventStore = InlineEvents(self.memory, KNOWN)
        await ProjectionBuilds(FIRST, self.store).create_first_builds()

    async def tell_time(self, at: datetime) -> None:
        self.clock.now = at

    async def end_executor(self, executor: str) -> None:
        self.ended.add(executor)

    async def restart(self) -> None:
        self.memory.run += 1

    async def settled(self) -> None:
        return None

    async def set_aside(self) -> Sequence[Mapping[str, Any]]:
        return [
            vars(letter) | {"name": build.name, "build": build.build}
            for build in self.memory.builds_of(None)
            for letter in build.set_aside.values()
        ]


@dataclass
class PostgresSide:
    """The store in Postgres, with the rights that the service has."""

    sql: psycopg.AsyncConnection[dict[str, Any]]
    store: ProjectionStore
    events: EventStore
    clock: ManualClock = field(default_factory=ManualClock)
    runners: dict[str, Runner] = field(default_factory=dict)

    async def empty(self) -> None:
        self.runners.clear()
        await self.sql.execute(SQL["empty"])
        await self.tell_time(datetime(2026, 1, 1, tzinfo=UTC))
        await ProjectionBuilds(FIRST, self.store).create_first_builds()

    async def tell_time(self, at: datetime) -> None:
        self.clock.now = at
        await self.sql.execute(SQL["tell_time"], (at,))

    async def end_executor(self, executor: str) -> None:
        await self.sql.execute(SQL["end_executor"], (executor,))

    async def restart(self) -> None:
        await self.sql.execute(SQL["restart"])

    async def settled(self) -> None:
        async with asyncio.timeout(20):
            while await (await self.sql.execute(SQL["unsettled"])).fetchone():
                await asyncio.sleep(0.002)

    async def set_aside(self) -> Sequence[Mapping[str, Any]]:
        return await (await self.sql.execute(SQL["set_aside"])).fetchall()


@asynccontextmanager
async def memory() -> AsyncIterator[Side]:
    """An empty store in memory."""
    side = MemorySide()
    await side.empty()
    yield side


@asynccontextmanager
async def postgres(url: URL) -> AsyncIterator[Side]:
    """An empty store in a fresh database."""
    async with await psycopg.AsyncConnection.connect(conninfo(url), autocommit=True, row_factory=dict_row) as sql:
        for name in ("clock", "defaults", "functions", "as_told"):
            await sql.execute(SQL[name])
        async with store(url) as it:
            writer = EventWriter(it.committer, InlineProjections(KNOWN, it.reader))
            side = PostgresSide(sql, it.projections, PostgresEvents(writer, it.reader))
            await side.empty()
            yield side


async def position(side: Side, number: int) -> FeedCursor:
    """The place of the event with this number, counted from 1."""
    await side.settled()
    return (await side.events.feed(limit=1_000_000))[number - 1].cursor
