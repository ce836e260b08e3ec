"""Appends in Postgres: they share commits, and yet none waits for another or fails with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.store.events.postgres_events import PostgresEvents
from domain.amends.errors import Invalid, StaleVersion, Unstorable
from domain.amends.event import Cause, EventType
from domain.amends.expected import ANY, NONE, exact
from tests.amends.store.harness.fire import session, settled, write
from tests.amends.store.harness.sagas import Store, event, started, store
from workflows.amends.ids import new_id
from workflows.amends.ports.event_store import AppendResult, EventStore, NewEvent, RepeatedRequest, StoredAnswer
from workflows.amends.ports.execution_log import StepCommit

Sql = psycopg.Connection

DISORDER = """
select count(*) from (
    select transaction_id::text::bigint < lag(transaction_id::text::bigint) over w
           or position < lag(position) over w as wrong
      from amends.events window w as (partition by stream order by version)) as each where wrong"""
GAPS = "select stream from amends.events group by stream having count(*) <> max(version) or min(version) <> 1"
LONG = "".join(map(chr, range(0x4E00, 0x4E00 + 4000)))
KILL = """
select pg_terminate_backend(pid) from (
    select pid from pg_stat_activity
     where application_name = 'amends committer' and datname = current_database() order by random() limit 1) as one"""


@asynccontextmanager
async def appending(url: URL, connections: int = 4) -> AsyncIterator[PostgresEvents]:
    async with store(url, connections) as it:
        yield PostgresEvents(it.writer, it.reader)


def commits(sql: Sql) -> int:
    """In how many transactions the events were written."""
    row = sql.execute("select count(distinct transaction_id) from amends.events").fetchone()
    assert row is not None
    return int(row[0])


async def versions(events: EventStore, stream: str) -> list[int]:
    return [each.version for each in await events.read(stream, limit=100_000)]


async def test_appends_that_are_ready_together_share_a_commit(database: URL, sql: Sql) -> None:
    async with appending(database, connections=1) as events:
        await asyncio.gather(*(events.append([event(f"s-{n % 7}")], {f"s-{n % 7}": exact(n // 7)}) for n in range(49)))
        assert commits(sql) < 10
        assert [await versions(events, f"s-{n}") for n in range(7)] == [list(range(1, 8))] * 7


async def test_a_stale_append_among_many_fails_alone(database: URL, sql: Sql) -> None:
    async with appending(database, connections=1) as events:
        await events.append([event("old")])
        appends = [events.append([event(f"s-{n}"), event(f"t-{n}")], {f"s-{n}": NONE}) for n in range(40)]
        appends[20:20] = [events.append([event("s-0"), event("old")], {"old": NONE})]
        done = await asyncio.gather(*appends, return_exceptions=True)
        assert isinstance(done.pop(20), StaleVersion)
        assert all(isinstance(each, AppendResult) for each in done)
        assert commits(sql) < 10
        assert await versions(events, "old") == [1]
        assert [await versions(events, f"{kind}-{n}") for kind in "st" for n in range(40)] == [[1]] * 80


@pytest.mark.parametrize("connections", [1, 4])
async def test_a_value_that_postgres_cannot_hold_fails_alone(database: URL, connections: int) -> None:
    async with appending(database, connections) as events:
        bad = [events.append([event(f"s-{n}", data={"text": "\u0000"})]) for n in range(3)]
        good = [events.append([event(f"s-{n % 3}")]) for n in range(30)]
        done = await asyncio.gather(*good[:10], bad[0], *good[10:20], *bad[1:], *good[20:], return_exceptions=True)
        assert sum(isinstance(each, Unstorable) for each in done) == 3
        assert sum(isinstance(each, AppendResult) for each in done) == 30
        assert [await versions(events, f"s-{n}") for n in range(3)] == [list(range(1, 11))] * 3
        await events.append([event("s-0")])


@pytest.mark.parametrize(
    "new",
    [event(LONG), NewEvent(new_id(), "s", EventType("it", 1), {}, Cause(correlation_id=LONG))],
    ids=["stream", "story"],
)
async def test_a_name_that_is_too_long_for_an_index_is_refused_and_not_unavailable(
    database: URL, new: NewEvent
) -> None:
    async with appending(database) as events:
        done = await asyncio.gather(events.append([new]), events.append([event("other")]), return_exceptions=True)
        assert isinstance(done[0], Invalid | Unstorable)
        assert isinstance(done[1], AppendResult)
        assert await versions(events, new.stream) == []


async def test_crossing_streams_never_deadlock(database: URL, sql: Sql) -> None:
    """Eight connections of four processes, each with its streams in another order."""
    async with AsyncExitStack() as stack:
        processes = [await stack.enter_async_context(appending(database, 2)) for _ in range(4)]

        async def crossing(number: int) -> None:
            streams = [f"s-{(number * 7 + n * (1 + number % 4)) % 5}" for n in range(5)]
            for _ in range(40):
                await processes[number % 4].append([event(stream) for stream in streams])

        await asyncio.gather(*map(crossing, range(16)))
    assert sql.execute("select count(*) from amends.events").fetchone() == (16 * 40 * 5,)
    assert sql.execute(GAPS).fetchall() == []
    assert sql.execute(DISORDER).fetchone() == (0,)
    assert sql.execute("select deadlocks from pg_stat_database where datname = current_database()").fetchone() == (0,)


async def test_whoever_waits_for_a_stream_holds_up_nobody_who_is_ready_with_him(database: URL) -> None:
    async with appending(database, connections=1) as events, session(database) as holder:
        await holder.execute("select amends.lock_streams(array['held'])")
        held = asyncio.create_task(events.append([event("free-1"), event("held")]))
        free = [asyncio.create_task(events.append([event(f"free-{n}")])) for n in range(2, 20)]
        async with asyncio.timeout(4):  # below the 5 s that a lock is waited for
            await asyncio.gather(*free)
        assert not held.done()
        await holder.rollback()
        assert isinstance(await held, AppendResult)
        assert await versions(events, "held") == [1]
        assert await versions(events, "free-1") == [1]


async def test_whoever_waits_for_a_stream_leaves_the_other_connections_to_others(database: URL) -> None:
    async with appending(database, connections=2) as events, session(database) as holder:
        await write(holder, event("held"))
        held = asyncio.create_task(events.append([event("held")], {"held": exact(1)}))
        for _ in range(20):
            await asyncio.gather(*(events.append([event(f"free-{n}")]) for n in range(10)))
        assert not held.done()
        await holder.commit()
        assert isinstance(await held, AppendResult)
        assert await versions(events, "held") == [1, 2]
        assert await versions(events, "free-9") == list(range(1, 21))


async def test_a_stream_that_is_held_for_longer_than_a_lock_is_waited_for_is_tried_again(database_18: URL) -> None:
    async with appending(database_18, connections=1) as events, session(database_18) as holder:
        await holder.execute("select amends.lock_streams(array['held'])")
        held = asyncio.create_task(events.append([event("held")]))
        await second_wait(database_18)
        await holder.rollback()
        assert isinstance(await held, AppendResult)


async def second_wait(url: URL) -> None:
    """Return once a committer waits for a stream for the second time."""
    begun = set[object]()
    statement = "select query_start from pg_stat_activity where application_name = 'amends committer'"
    statement += " and wait_event = 'advisory'"
    async with session(url) as watching, asyncio.timeout(20):
        await watching.set_autocommit(True)
        while len(begun) < 2:
            begun |= {at for (at,) in await (await watching.execute(statement)).fetchall()}
            await asyncio.sleep(0.02)


async def test_a_killed_connection_loses_nothing_and_doubles_nothing(database: URL, sql: Sql) -> None:
    answers, told, enough = list[AppendResult | RepeatedRequest](), list[NewEvent](), asyncio.Event()

    async def writing(events: PostgresEvents, number: int) -> int:
        own, n = f"own-{number}", 0
        while not enough.is_set():
            new = [event("hot"), event(own)]
            answer = StoredAnswer(f"{number}-{n}", "digest", {"version": n + 1})
            answers.append(await events.append(new, {own: exact(n), "hot": ANY}, answer if n % 2 else None))
            told.extend(new)
            n += 1
        return n

    async with appending(database, connections=3) as events:
        work = asyncio.gather(*(writing(events, number) for number in range(8)))
        for _ in range(25):
            while not sql.execute(KILL).fetchall():
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.04)
        enough.set()
        counts = await work
        assert await versions(events, "hot") == list(range(1, sum(counts) + 1))
        assert [await versions(events, f"own-{n}") for n in range(8)] == [list(range(1, n + 1)) for n in counts]
    assert len(answers) == sum(counts)
    assert {id for (id,) in sql.execute("select id from amends.events")} == {each.id for each in told}
    assert sql.execute(DISORDER).fetchone() == (0,)
    assert sql.execute("select count(*) from amends.requests").fetchone() == (sum(n // 2 for n in counts),)


async def test_transaction_ids_of_a_hot_stream_rise_with_its_versions(database: URL, sql: Sql) -> None:
    """Appends and steps of sagas from several processes, all to the same streams."""

    async def appends(events: PostgresEvents) -> None:
        for _ in range(50):
            await events.append([event("hot"), event("warm")])

    async def steps(it: Store) -> None:
        saga = await started(it)
        for _ in range(25):
            await it.sagas.commit(
                saga, "me", StepCommit([event(f"saga-{saga}"), event("warm"), event("hot")], {}, None)
            )

    async with store(database) as one, store(database) as two:
        both = [PostgresEvents(it.writer, it.reader) for it in (one, two)]
        await asyncio.gather(*map(appends, both * 6), *map(steps, [one, two] * 3))
        assert await versions(both[0], "hot") == list(range(1, 751))
        assert await versions(both[0], "warm") == list(range(1, 751))
    assert commits(sql) > 100
    assert sql.execute(DISORDER).fetchone() == (0,)


@asynccontextmanager
async def older_but_later(
    url: URL,
) -> AsyncIterator[tuple[PostgresEvents, list[NewEvent], AppendResult | RepeatedRequest]]:
    """Two events, the second with the higher position but the older transaction; and the place of the first one."""
    new = [event("b"), event("a")]
    async with appending(url) as events, session(url) as early:
        await early.execute("select pg_current_xact_id()")
        furthest = await events.append(new[:1])
        await write(early, new[1])
        await early.commit()
        await settled(url)
        assert [each.stream for each in await events.feed()] == ["a", "b"]
        yield events, new, furthest


async def test_an_append_of_nothing_reaches_to_the_furthest_of_what_it_expects(database: URL) -> None:
    async with older_but_later(database) as (events, _, furthest):
        assert await events.append([], {"a": exact(1), "b": exact(1)}) == furthest


async def test_an_append_of_what_is_known_reaches_to_the_furthest_of_it(database: URL) -> None:
    async with older_but_later(database) as (events, new, furthest):
        assert await events.append(new) == furthest


async def test_text_that_cannot_be_encoded_ends_no_connection(database: URL) -> None:
    async with store(database, connections=2) as it:
        for _ in range(3):
            with pytest.raises(Unstorable):
                async with asyncio.timeout(5):
                    await it.committer.run("select %s::text", ("half a \ud800",))
        assert await it.committer.run("select 1", ()) == [(1,)]
