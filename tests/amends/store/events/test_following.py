"""Those who follow the feed are told when it goes on, and who holds it back is named."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from statistics import median

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.statements.reader import Reader
from app.amends.postgres.urls import conninfo
from app.amends.store.events.postgres_events import PostgresEvents
from app.amends.store.feed.lag import BlockingTransaction, blocking_transaction
from app.amends.store.feed.notifier import LOOK_SECONDS, FeedNotifier
from tests.amends.store.harness.fire import session, write
from tests.amends.store.harness.sagas import event, store
from workflows.amends.ports.event_store import START, AppendResult, FeedCursor

AT_ONCE = LOOK_SECONDS / 2
"""Sooner than a look that nothing has asked for."""


@asynccontextmanager
async def followed(url: URL) -> AsyncIterator[tuple[FeedNotifier, PostgresEvents]]:
    """The tail of one process, and the events of another one; nothing tells the one what the other one writes."""
    async with store(url) as here, store(url) as there:
        feed_notifier = FeedNotifier(here.reader)
        try:
            yield feed_notifier, PostgresEvents(there.writer, there.reader)
        finally:
            await feed_notifier.stop()


async def append(events: PostgresEvents) -> FeedCursor:
    done = await events.append([event("a")])
    assert isinstance(done, AppendResult)
    return done.cursor


async def test_whoever_follows_is_told_what_another_process_wrote(database: URL) -> None:
    async with followed(database) as (feed_notifier, events):
        cursor = START
        for _ in range(3):
            following = [asyncio.create_task(feed_notifier.wait_beyond(cursor, 20)) for _ in range(5)]
            done, _ = await asyncio.wait(following, timeout=0.3)
            assert not done
            cursor = await append(events)
            assert await asyncio.gather(*following) == [True] * 5
            assert feed_notifier.end == cursor


async def test_whoever_comes_late_is_told_at_once(database: URL) -> None:
    async with followed(database) as (feed_notifier, events):
        cursor = await append(events)
        assert await feed_notifier.wait_beyond(START, 20)
        assert await feed_notifier.wait_beyond(START, 0.001), "it is known by now"
        assert not await feed_notifier.wait_beyond(cursor, 0.3)


async def test_whoever_waits_in_vain_is_told_so(database: URL) -> None:
    async with followed(database) as (feed_notifier, events):
        assert not await feed_notifier.wait_beyond(START, 0.3)
        cursor = await append(events)
        assert await feed_notifier.wait_beyond(START, 20)
        assert not await feed_notifier.wait_beyond(cursor, 0.3)
        await append(events)
        assert await feed_notifier.wait_beyond(cursor, 20)


async def test_a_nudge_makes_it_look_at_once(database: URL) -> None:
    async with store(database) as it:
        feed_notifier, events = FeedNotifier(it.reader), PostgresEvents(it.writer, it.reader)
        left_alone = [await until_known(feed_notifier, events) for _ in range(5)]
        it.committer.on_commit = feed_notifier.read_now
        nudged = [await until_known(feed_notifier, events) for _ in range(5)]
        await feed_notifier.stop()
    assert min(nudged) < AT_ONCE
    assert median(left_alone) > AT_ONCE, "else this test says nothing"


async def until_known(feed_notifier: FeedNotifier, events: PostgresEvents) -> float:
    """How many seconds after the beginning of an append it is known, if that begins just after a look."""
    known = await append(events)
    while feed_notifier.end < known:
        await feed_notifier.wait_beyond(feed_notifier.end, 20)
    began, following = time.monotonic(), asyncio.create_task(feed_notifier.wait_beyond(known, 20))
    await append(events)
    assert await following
    return time.monotonic() - began


async def test_an_open_transaction_holds_the_tail_back(database: URL) -> None:
    async with followed(database) as (feed_notifier, events), session(database) as slow:
        await write(slow, event("slow"))
        await append(events)
        assert not await feed_notifier.wait_beyond(START, 0.5)
        await slow.commit()
        assert await feed_notifier.wait_beyond(START, 20)


async def until(reader: Reader, met: Callable[[BlockingTransaction | None], bool]) -> BlockingTransaction | None:
    """Who holds the feed back, once it is whom we wait for: for moments, others do too."""
    async with asyncio.timeout(20):
        while not met(found := await blocking_transaction(reader)):
            await asyncio.sleep(0.02)
    return found


@pytest.mark.parametrize("elsewhere", [False, True], ids=["same database", "another database"])
async def test_an_open_transaction_is_named(database: URL, elsewhere: bool) -> None:
    """Looked at with the rights of the service, which is not whose session it is."""
    url = database.set(database="postgres") if elsewhere else database
    async with store(database) as it:
        with psycopg.connect(conninfo(url), application_name="a report") as connection:
            pid = connection.info.backend_pid
            connection.execute("select 1")
            assert (await until(it.reader, lambda found: found is None)) is None, "it has not begun to write"
            connection.execute("select pg_current_xact_id()")
            found = await until(it.reader, lambda found: found is not None and found.pid == pid)
            assert found is not None
            assert (found.who, found.database) == ("a report", url.database)
            age = found.seconds
            assert age is not None
            later = await until(it.reader, lambda later: later is not None and (later.seconds or 0) > age)
            assert later is not None
            assert (later.pid, str(later)) == (pid, f"process {pid} (a report, database {url.database})")
            assert 0 <= age < 60
            connection.rollback()
            assert await until(it.reader, lambda found: found is None) is None


async def test_of_several_open_transactions_the_oldest_is_named(database: URL) -> None:
    async with store(database) as it:
        with psycopg.connect(conninfo(database)) as old, psycopg.connect(conninfo(database)) as young:
            for connection in (young, old):
                connection.execute("select 1")
            for connection in (old, young):
                connection.execute("select pg_current_xact_id()")
            await until(it.reader, lambda found: found is not None and found.pid == old.info.backend_pid)
            old.commit()
            await until(it.reader, lambda found: found is not None and found.pid == young.info.backend_pid)
