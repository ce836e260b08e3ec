"""Writers of every kind at once, and readers who follow the feed meanwhile: what the feed is proven with."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from sqlalchemy import URL

from app.amends.postgres.urls import conninfo
from app.amends.store.events.encoding import new_events_text
from app.amends.store.events.postgres_events import PostgresEvents
from app.amends.store.sagas.transactions import PostgresTransaction
from domain.amends.errors import StaleVersion
from domain.amends.event import Cause, EventType
from domain.amends.expected import exact
from tests.amends.store.harness.sagas import Store, started, step_commit, store
from workflows.amends.ids import new_id
from workflows.amends.ports.event_store import START, FeedCursor, FeedFilter, NewEvent, StoredEvent
from workflows.amends.ports.execution_log import Committed, TransactionInterrupted

TYPES = ("thing-happened", "thing-broke", "thing-mended")
STORIES = ("story-a", "story-b", "story-c")
HOT, COOL = [f"hot-{n}" for n in range(4)], [f"cool-{n}" for n in range(12)]
TABLES = """
create table public.stock (sku text primary key, held int not null);
insert into public.stock select 'sku-' || n, 0 from generate_series(0, 9) as n;
grant select, update on public.stock to amends_service;
create table public.unrelated (n int not null)"""
HOLD = "update public.stock set held = held + 1 where sku = %(sku)s"


@asynccontextmanager
async def session(url: URL) -> AsyncIterator[AsyncConnection[TupleRow]]:
    """A superuser's session that begins a transaction with its first statement."""
    async with await AsyncConnection.connect(conninfo(url)) as connection:
        try:
            yield connection
        finally:
            await connection.rollback()


async def write(connection: AsyncConnection[TupleRow], *events: NewEvent) -> None:
    """Lock and insert as our functions do, in a transaction that stays open."""
    await connection.execute("select amends.lock_streams(%s)", ([event.stream for event in events],))
    await connection.execute("select amends.insert_events(%s::jsonb)", (new_events_text(events),))


async def settled(url: URL) -> None:
    """Wait until no transaction holds the feed back from the newest event."""
    behind = "select count(*) from amends.events where transaction_id >= pg_snapshot_xmin(pg_current_snapshot())"
    async with asyncio.timeout(30), session(url) as connection:
        await connection.set_autocommit(True)
        while await (await connection.execute(behind)).fetchone() != (0,):
            await asyncio.sleep(0.02)


def anything(stream: str) -> NewEvent:
    return NewEvent(
        new_id(), stream, EventType(random.choice(TYPES), 1), {}, Cause(correlation_id=random.choice(STORIES))
    )


@dataclass
class Fire:
    """One burning. `told` are events whose commit was answered for, `undone` those that were rolled back."""

    url: URL
    processes: list[Store]
    over: asyncio.Event = field(default_factory=asyncio.Event)
    told: set[UUID] = field(default_factory=set)
    undone: set[UUID] = field(default_factory=set)
    count: Counter[str] = field(default_factory=Counter)

    async def burn(self, seconds: float) -> None:
        """Let everybody write for a while, and until there was enough of everything."""
        writers = 6 * [hot, crossing] + 2 * [batch, saga, idle, raw, elsewhere] + 3 * [own]
        async with asyncio.TaskGroup() as group:
            for writer in writers:
                group.create_task(self._repeat(writer))
            await asyncio.sleep(seconds)
            while not self._enough:
                await asyncio.sleep(0.1)
            self.over.set()

    @property
    def _enough(self) -> bool:
        few = min(self.count[kind] for kind in ("append", "step", "own", "idle", "elsewhere", "stale"))
        many = min(self.count[kind] for kind in ("rollback", "slow"))
        return few > 5 and many > 20 and len(self.told) > 2000

    async def _repeat(self, writer: Writer) -> None:
        while not self.over.is_set():
            await writer(self)

    async def append(self, events: Sequence[NewEvent], **expected: int) -> None:
        it = random.choice(self.processes)
        wanted = {stream: exact(version) for stream, version in expected.items()}
        await PostgresEvents(it.writer, it.reader).append(events, wanted)
        self.committed("append", events)

    def committed(self, what: str, events: Sequence[NewEvent]) -> None:
        self.count[what] += 1
        self.told |= {event.id for event in events}

    def taken_back(self, what: str, events: Sequence[NewEvent]) -> None:
        self.count[what] += 1
        self.undone |= {event.id for event in events}


Writer = Callable[[Fire], Awaitable[None]]


async def hot(fire: Fire) -> None:
    """One event to one of few streams, half of them for a version that others write to as well."""
    stream, it = random.choice(HOT), fire.processes[0]
    new = anything(stream)
    if random.random() < 0.5:
        await fire.append([new])
        return
    try:
        await fire.append([new], **{stream: await PostgresEvents(it.writer, it.reader).version(stream)})
    except StaleVersion:
        fire.taken_back("stale", [new])


async def crossing(fire: Fire) -> None:
    """Several streams in one commit, in any order."""
    await fire.append([anything(stream) for stream in random.choices(HOT + COOL, k=random.randint(2, 5))])


async def batch(fire: Fire) -> None:
    """Hundreds of events at once."""
    streams = random.sample(COOL, 2)
    await fire.append([anything(random.choice(streams)) for _ in range(random.randint(100, 400))])
    await asyncio.sleep(random.uniform(0, 2))


async def saga(fire: Fire) -> None:
    """A saga whose steps tell something to the streams of others, too."""
    it = random.choice(fire.processes)
    id = await started(it)
    for step_id in range(1, 6):
        step = step_commit(id, step_id, anything(random.choice(HOT)), anything(random.choice(COOL)))
        assert await it.sagas.commit(id, "me", step) == Committed()
        fire.committed("step", step.events)


async def own(fire: Fire) -> None:
    """Steps with a table of their own, quick ones and slow ones."""
    it = random.choice(fire.processes)
    id = await started(it)
    for step_id in range(1, 6):
        step = step_commit(id, step_id, anything(random.choice(COOL)))
        try:
            async with PostgresTransaction(it.writer, it.reader, it.loader, id, "me") as unit:
                await unit.execute(HOLD, {"sku": f"sku-{random.randrange(10)}"})
                if slow := random.random() < 0.5:
                    await unit.execute("select pg_sleep(%(seconds)s)", {"seconds": random.uniform(0.05, 0.3)})
                stands = await unit.commit(step) == Committed()
        except TransactionInterrupted:
            stands = False
        if stands:
            fire.committed("slow" if slow else "own", step.events)
        else:
            fire.taken_back("interrupted", step.events)


async def raw(fire: Fire) -> None:
    """Appends that stay open for a moment, half of which are rolled back."""
    async with session(fire.url) as connection:
        for _ in range(20):
            events = [anything(stream) for stream in random.choices(HOT + COOL, k=random.randint(1, 3))]
            await write(connection, *events)
            await asyncio.sleep(random.choice([0, random.uniform(0.01, 0.1)]))
            if random.random() < 0.5:
                await connection.rollback()
                fire.taken_back("rollback", events)
            else:
                await connection.commit()
                fire.committed("slow", events)
            await asyncio.sleep(random.uniform(0, 0.2))


async def idle(fire: Fire) -> None:
    """A transaction on another table that takes an id and then does nothing for a while."""
    async with session(fire.url) as connection:
        await connection.execute("insert into public.unrelated values (1)")
        await asyncio.sleep(random.uniform(0.01, 1))
        await (connection.commit() if random.random() < 0.5 else connection.rollback())
        fire.count["idle"] += 1


async def elsewhere(fire: Fire) -> None:
    """The same in another database of the server."""
    async with session(fire.url.set(database="postgres")) as connection:
        await connection.execute("select pg_current_xact_id()")
        await asyncio.sleep(random.uniform(0.01, 1))
        await (connection.commit() if random.random() < 0.5 else connection.rollback())
        fire.count["elsewhere"] += 1


@dataclass
class Follower:
    """Reads the feed in pages, each from where the last one ended; `restarts` if all that it keeps is a token."""

    events: PostgresEvents
    page: int
    only: FeedFilter = FeedFilter()
    restarts: bool = False
    seen: list[StoredEvent] = field(default_factory=list)

    async def follow(self, finished: asyncio.Event) -> None:
        """Read on until everything is finished and read."""
        cursor = START
        while True:
            last = finished.is_set()
            page = await self.events.feed(cursor, self.page, self.only)
            self.seen += page
            cursor = await self._next(page[-1].cursor) if page else cursor
            if last and not page:
                return
            await asyncio.sleep(0 if last else random.uniform(0, 0.03))

    async def _next(self, cursor: FeedCursor) -> FeedCursor:
        return await self.events.parse_cursor(str(cursor)) if self.restarts else cursor


@asynccontextmanager
async def fire(url: URL) -> AsyncIterator[Fire]:
    """The tables that it needs, and three processes' connections."""
    async with session(url) as connection:
        await connection.execute(TABLES)
        await connection.commit()
    async with store(url) as one, store(url) as two, store(url, connections=2) as three:
        yield Fire(url, [one, two, three])
