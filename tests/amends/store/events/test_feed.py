"""The feed never skips an event and never reorders a stream, whoever writes at the same time and however slowly."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from itertools import pairwise

import pytest
from sqlalchemy import URL

from app.amends.store.events.postgres_events import PostgresEvents
from app.amends.store.sagas.transactions import PostgresTransaction
from tests.amends.store.harness.fire import STORIES, TYPES, Fire, Follower, fire, session, settled, write
from tests.amends.store.harness.sagas import Store, event, started, step_commit, store
from workflows.amends.ports.event_store import START, FeedCursor, FeedFilter, StoredEvent
from workflows.amends.ports.execution_log import Committed


async def followed(burning: Fire, seconds: float) -> list[Follower]:
    """Let it burn, and return the readers once everything is written and read."""
    feeds = [PostgresEvents(it.writer, it.reader) for it in burning.processes]
    everything = [Follower(feeds[0], 29), Follower(feeds[1], 1000), Follower(feeds[2], 200, restarts=True)]
    some = [FeedFilter(type=TYPES[0]), FeedFilter(stream="hot-0"), FeedFilter(correlation_id=STORIES[0])]
    some += [FeedFilter(TYPES[1], "cool-0", STORIES[1])]
    followers = everything + [Follower(feeds[n % 3], 50, only) for n, only in enumerate(some)]
    finished = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for each in followers:
            group.create_task(each.follow(finished))
        await burning.burn(seconds)
        await settled(burning.url)
        finished.set()
    return followers


def require_in_order(seen: list[StoredEvent]) -> None:
    """Places rise, and so do the versions of each stream, without a gap."""
    assert all(one.cursor < two.cursor for one, two in pairwise(seen))
    versions = defaultdict(list)
    for each in seen:
        versions[each.stream].append(each.version)
    wrong = {stream for stream, found in versions.items() if found != list(range(1, len(found) + 1))}
    assert not wrong


def wanted(only: FeedFilter, each: StoredEvent) -> bool:
    return (
        only.type in (None, each.name)
        and only.stream in (None, each.stream)
        and only.correlation_id in (None, each.metadata.get("correlation_id"))
    )


async def require_proof(url: URL, seconds: float) -> None:
    async with fire(url) as burning:
        followers = await followed(burning, seconds)
        async with session(url) as connection:
            stored = {id for (id,) in await (await connection.execute("select id from amends.events")).fetchall()}
    assert burning.told <= stored, "what was answered for is there"
    assert not burning.undone & stored, "what was taken back is not"
    whole = followers[0].seen
    require_in_order(whole)
    assert len(whole) == len(stored)
    assert {each.id for each in whole} == stored
    for each in followers:
        assert each.seen == [one for one in whole if wanted(each.only, one)]


@pytest.mark.parametrize("seconds", [15, pytest.param(600, marks=[pytest.mark.soak, pytest.mark.timeout(1200)])])
async def test_the_feed_never_skips_and_never_reorders_under_fire(database: URL, seconds: int) -> None:
    await require_proof(database, seconds)


Feed = Callable[[Store, FeedCursor], Awaitable[list[StoredEvent]]]

COLUMNS = """
select e.generation, e.transaction_id::text::bigint as transaction, e.position, e.id, e.stream, e.version, e.type,
       e.schema_version, e.data::text, e.metadata::text, e.recorded_at
  from amends.events as e"""
BY_TRANSACTION = f"""{COLUMNS}
 where (generation, transaction_id, position) > (%(generation)s, %(transaction_id)s::text::xid8, %(position)s)
 order by e.generation, e.transaction_id, e.position"""
BY_POSITION = f"{COLUMNS} where position > %(position)s order by position"


async def feed(it: Store, after: FeedCursor) -> list[StoredEvent]:
    return await PostgresEvents(it.writer, it.reader).feed(after)


def without_barrier(statement: str) -> Feed:
    """A feed that does not stop below the oldest transaction that still writes."""

    async def read(it: Store, after: FeedCursor) -> list[StoredEvent]:
        parameters = after._asdict() | {"transaction_id": str(after.transaction_id)}
        return [StoredEvent(*row) for row in await it.reader.tuples(statement, parameters)]

    return read


async def require_no_skip(url: URL, read: Feed) -> None:
    """A write that is not committed yet, one after it that is, a read; then the first one is committed, and a read."""
    early, late = event("early"), event("late")
    async with store(url) as it, session(url) as open_for_long:
        await write(open_for_long, early)
        await PostgresEvents(it.writer, it.reader).append([late])
        seen = await read(it, START)
        await open_for_long.commit()
        await settled(url)
        seen += await read(it, seen[-1].cursor if seen else START)
    assert [each.id for each in seen] == [early.id, late.id]


async def test_what_is_committed_late_is_not_skipped(database: URL) -> None:
    await require_no_skip(database, feed)


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="without the barrier a reader passes an open transaction")
@pytest.mark.parametrize("statement", [BY_TRANSACTION, BY_POSITION], ids=["by transaction", "by position"])
async def test_what_is_committed_late_is_not_skipped_without_the_barrier(database: URL, statement: str) -> None:
    await require_no_skip(database, without_barrier(statement))


Late = Callable[[Store, URL, Callable[[], Awaitable[object]]], Awaitable[None]]
"""Writes to its own table, lets something else happen, and appends to stream `order-1`."""


async def step_with_sql_of_its_own(it: Store, url: URL, meanwhile: Callable[[], Awaitable[object]]) -> None:
    """As a saga does: where others wrote first, it is run again."""
    saga = await started(it)
    for _ in range(2):
        async with PostgresTransaction(it.writer, it.reader, it.loader, saga, "me") as unit:
            await unit.execute("update public.stock set held = held + 1", None)
            await meanwhile()
            if await unit.commit(step_commit(saga, 1, event("order-1"))) == Committed():
                return


async def id_before_the_lock(it: Store, url: URL, meanwhile: Callable[[], Awaitable[object]]) -> None:
    """At READ COMMITTED, its version looked up once it has the lock: all right, but that its id is older than that."""
    async with session(url) as connection:
        await connection.execute("update public.stock set held = held + 1")
        await meanwhile()
        await write(connection, event("order-1"))
        await connection.commit()


async def require_order(url: URL, writer: Late) -> None:
    async with store(url) as it, session(url) as connection:
        await connection.execute("create table public.stock (held int not null)")
        await connection.execute("insert into public.stock values (0)")
        await connection.execute("grant select, update on public.stock to amends_service")
        await connection.commit()
        events, first = PostgresEvents(it.writer, it.reader), event("order-1")
        await writer(it, url, lambda: events.append([first]))
        await settled(url)
        seen = [each for each in await events.feed() if each.stream == "order-1"]
    assert [each.version for each in seen] == [1, 2]
    assert seen[0].id == first.id


async def test_a_step_with_sql_of_its_own_keeps_its_streams_order(database: URL) -> None:
    await require_order(database, step_with_sql_of_its_own)


@pytest.mark.xfail(strict=True, raises=AssertionError, reason="a transaction id older than the lock goes ahead of it")
async def test_a_step_with_sql_of_its_own_keeps_its_streams_order_without_the_lock_order(database: URL) -> None:
    await require_order(database, id_before_the_lock)
