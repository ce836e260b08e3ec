"""History that went back is told to whoever read it: by commits that are really lost, of a Postgres that is killed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.connections.pool import Pool
from app.amends.postgres.connections.watch import DatabaseWatch
from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo
from app.amends.store.events.postgres_events import PostgresEvents, WentBack
from app.amends.store.events.recent import RecentEvents
from app.amends.store.events.writer import EventWriter
from app.amends.store.feed import SQL
from app.amends.store.feed.follower import Follower
from app.amends.store.feed.losses import Losses
from app.amends.store.feed.notifier import FeedNotifier
from domain.amends.errors import Unavailable
from tests.amends.harness.databases import fresh_database
from tests.amends.harness.losing import UNFLUSHED, copy, crash, losing_cluster, put_back, stop_flushing
from tests.amends.store.harness.fire import session, write
from tests.amends.store.harness.sagas import Store, event, store
from tests.amends.store.harness.trouble import until
from workflows.amends.ports.event_store import START, AppendResult, FeedCursor, FeedFilter


@pytest.fixture(scope="module")
def losing() -> Iterator[EmbeddedPostgres]:
    yield from losing_cluster()


@pytest.fixture
def url(losing: EmbeddedPostgres) -> URL:
    """A database of a server that flushes nothing by itself."""
    url = fresh_database(losing)
    stop_flushing(losing)
    return url


@asynccontextmanager
async def reading(url: URL) -> AsyncIterator[tuple[Store, PostgresEvents, FeedNotifier]]:
    async with store(url) as it:
        feed_notifier = FeedNotifier(it.reader)
        try:
            yield it, PostgresEvents(it.writer, it.reader), feed_notifier
        finally:
            await feed_notifier.stop()


async def append(events: PostgresEvents, *streams: str) -> FeedCursor:
    done = await events.append([event(stream) for stream in streams])
    assert isinstance(done, AppendResult)
    return done.cursor


async def lost(url: URL, *streams: str) -> None:
    """Append what nothing has flushed."""
    async with session(url) as writer:
        await writer.execute(UNFLUSHED)
        for stream in streams:
            await write(writer, event(stream))
        await writer.commit()


def watched(it: Store, recent: RecentEvents) -> Losses:
    return Losses(recent, PostgresEvents(it.writer, it.reader), it.committer, it.reader, lambda: "executor-1")


async def noticed(it: Store, recent: RecentEvents) -> Losses:
    """What a process notices in another run of the server."""
    losses = watched(it, recent)
    await losses.on_new_server_run()
    return losses


async def all_of(follower: Follower, count: int) -> list[str]:
    """The streams of the next events that a follower is sent."""
    streams = list[str]()
    async with asyncio.timeout(30):
        while len(streams) < count:
            page = await follower.next_page(100)
            follower.note_sent(page)
            streams += [each.stream for each in page]
            await asyncio.sleep(0.01)
    return streams


async def test_a_follower_whose_last_event_is_gone_goes_on_from_the_last_that_stands(
    url: URL, losing: EmbeddedPostgres
) -> None:
    async with reading(url) as (_, events, feed_notifier):
        stands = await append(events, "kept")
        await lost(url, "lost", "lost-too")
        follower = Follower(events, feed_notifier, START, FeedFilter())
        assert await all_of(follower, 3) == ["kept", "lost", "lost-too"]
        gone = follower.cursor
        crash(losing)
        await append(events, "new", "newer", "newest")
        with pytest.raises(WentBack) as told:
            await follower.next_page(100)
        assert told.value.stands.startswith(f"{stands.generation}-{stands.transaction_id}-{stands.position}-")
        with pytest.raises(WentBack):
            await events.feed(gone)
        follower.rewind(FeedCursor.parse(told.value.stands) or START)
        assert await all_of(follower, 3) == ["new", "newer", "newest"]


async def test_a_follower_is_told_of_an_earlier_event_that_is_gone_while_its_last_one_stands(
    url: URL, losing: EmbeddedPostgres
) -> None:
    """Of two transactions the one with the lower id commits later, and is lost; a token vouches for its own event."""
    async with reading(url) as (_, events, feed_notifier):
        first = await append(events, "first")
        async with session(url) as low:
            await low.execute(UNFLUSHED)
            await write(low, event("low"))
            high = await append(events, "high")
            await low.commit()
        follower = Follower(events, feed_notifier, START, FeedFilter())
        assert await all_of(follower, 3) == ["first", "low", "high"]
        assert follower.cursor == high
        crash(losing)
        await append(events, "new")
        token = await events.parse_after(str(follower.cursor))
        assert [each.stream for each in await events.feed(token)] == ["new"], "nobody knows yet that one is gone"
        with pytest.raises(WentBack) as told:
            await follower.next_page(100)
        assert FeedCursor.parse(told.value.stands) == first
        follower.rewind(first)
        assert await all_of(follower, 2) == ["high", "new"]


async def test_a_follower_is_told_also_where_nothing_new_is_written(url: URL, losing: EmbeddedPostgres) -> None:
    """It waits for what comes after a place that will not come: the tail wakes it once the run changes."""
    async with reading(url) as (_, events, feed_notifier):
        await append(events, "kept")
        await lost(url, "lost")
        follower = Follower(events, feed_notifier, START, FeedFilter(stream="lost"))
        await all_of(follower, 1)
        assert await feed_notifier.wait_beyond(START, 20)
        waiting = asyncio.create_task(feed_notifier.wait_beyond(follower.cursor, 60))
        await asyncio.sleep(0)
        crash(losing)
        async with asyncio.timeout(30):
            assert await waiting
        await until(lambda: feed_notifier.end < follower.cursor)
        with pytest.raises(WentBack):
            await follower.next_page(100)


async def test_whoever_waits_at_the_tail_is_woken_by_whoever_sees_another_run(url: URL) -> None:
    async with reading(url) as (_, events, feed_notifier):
        cursor = await append(events, "kept")
        waiting = asyncio.create_task(feed_notifier.wait_beyond(cursor, 60))
        await asyncio.sleep(0)
        await feed_notifier.on_new_server_run()
        assert await asyncio.wait_for(waiting, 20)
        assert not await feed_notifier.wait_beyond(cursor, 0.05), "once for each turn"


async def test_a_copy_of_the_data_that_is_put_back_is_told_in_a_store_that_has_grown_beyond_it(
    url: URL, losing: EmbeddedPostgres
) -> None:
    """Timeline and system identifier stay as they were, and the places are given out again."""
    copied = losing.root / "copied"
    async with reading(url) as (_, events, feed_notifier):
        kept = await append(events, "kept")
        copy(losing, copied)
        follower = Follower(events, feed_notifier, START, FeedFilter())
        await append(events, "gone-1")
        await append(events, "gone-2")
        assert await all_of(follower, 3) == ["kept", "gone-1", "gone-2"]
        put_back(losing, copied)
        for number in range(6):
            await append(events, f"new-{number}")
        assert (await events.feed())[-1].cursor > follower.cursor
        with pytest.raises(WentBack) as told:
            await follower.next_page(100)
        assert FeedCursor.parse(told.value.stands) == kept
        follower.rewind(kept)
        assert await all_of(follower, 6) == [f"new-{number}" for number in range(6)]


async def test_a_loss_is_noticed_and_put_on_record_by_whoever_had_committed(
    url: URL, losing: EmbeddedPostgres, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody has read it: it is known by its id, and to have come after the end of the feed of then."""
    recent = RecentEvents()
    async with store(url) as it:
        events = PostgresEvents(EventWriter(it.committer, recent=recent), it.reader)
        kept = await append(events, "kept")
        feed_notifier = FeedNotifier(it.reader, recent)
        feed_notifier.start()
        await until(lambda: recent.end == kept)
        await feed_notifier.stop()
        with psycopg.connect(conninfo(url), autocommit=True) as sql:
            sql.execute(f"alter database {url.database} set synchronous_commit = off".encode())
        await renewed(it)
        new = [event("lost"), event("lost")]
        await events.append(new)
        crash(losing)
        await renewed(it)
        await append(events, "new")
        losses = await noticed(it, recent)
        assert (losses.times, losses.events) == (1, 2)
        rows = await it.reader.rows(SQL["losses"], (10,))
        assert [(row["noticed_by"], row["events"], row["stands"]) for row in rows] == [("executor-1", 2, order(kept))]
        assert {rows[0]["first"], rows[0]["last"]} == {str(each.id) for each in new}
        assert str(kept) in "".join(record.getMessage() for record in caplog.records if record.levelname == "WARNING")
        assert (await noticed(it, recent)).times == 0, "it is noticed once"


async def test_pages_are_refused_beyond_a_loss_that_was_noticed_since_their_token_was_given_out(
    url: URL, losing: EmbeddedPostgres
) -> None:
    recent = RecentEvents()
    async with store(url) as it:
        events = PostgresEvents(EventWriter(it.committer, recent=recent), it.reader)
        first = await append(events, "first")
        async with session(url) as low:
            await low.execute(UNFLUSHED)
            await write(low, event("low"))
            high = await append(events, "high")
            await low.commit()
        assert [each.stream for each in await events.feed()] == ["first", "low", "high"]
        crash(losing)
        await renewed(it)
        later = await append(events, "later")
        await noticed(it, recent)
        for reading in (events.feed, partial(events.read_after, "high")):
            with pytest.raises(WentBack) as told:
                await reading(high)
            stands = FeedCursor.parse(told.value.stands)
            assert stands is not None
            assert stands == first
            assert stands.run > high.run
        assert [each.stream for each in await events.feed(stands or START)] == ["high", "later"]
        assert await events.feed(first), "what lies before the loss is vouched for in any run"
        with pytest.raises(WentBack):
            await events.feed(later)  # whoever read that before it was noticed may have read what is gone
        (_, again) = await events.feed(first)
        assert await events.feed(again.cursor) == [], "what was given out since is vouched for"
        await events.require_on_record(high)


async def test_nothing_is_noticed_where_nothing_is_gone(
    url: URL, losing: EmbeddedPostgres, caplog: pytest.LogCaptureFixture
) -> None:
    recent = RecentEvents()
    async with store(url) as it:
        events = PostgresEvents(EventWriter(it.committer, recent=recent), it.reader)
        await append(events, *(f"kept-{number}" for number in range(20)))
        await events.feed()
        crash(losing)
        await renewed(it)
        assert (await noticed(it, recent)).times == 0
        assert await it.reader.rows(SQL["losses"], (10,)) == []
    assert "History went back" not in caplog.text


async def test_what_has_to_be_done_in_another_run_is_done_until_the_database_answers(
    url: URL, losing: EmbeddedPostgres
) -> None:
    asked = list[str]()

    async def hear() -> None:
        asked.append("asked")
        if len(asked) == 1:
            raise Unavailable(1.0)

    watch = DatabaseWatch(url)
    watch.on_moved.append(hear)
    assert await watch.ask_problem() is None
    crash(losing)
    watch.start()
    await until(lambda: len(asked) == 2)
    await watch.stop()


def order(cursor: FeedCursor) -> str:
    """A place without its event."""
    return f"{cursor.generation}-{cursor.transaction_id}-{cursor.position}"


async def renewed(it: Store) -> None:
    """Give up all connections, as a watch sees to in another run of the server."""
    assert isinstance(it.reader.pool, Pool)
    await it.reader.pool.discard_connections()
    await it.committer.resend_all()
