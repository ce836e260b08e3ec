"""Read models where history went back: their runners go on from what is stored, and nobody waits for what is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.connections.pool import Pool
from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo
from app.amends.projections.runners import Runners
from app.amends.store.events.postgres_events import WentBack
from app.amends.store.feed.notifier import FeedNotifier
from app.amends.store.shapes import PostgresSagaLookup
from domain.amends.event import Cause
from tests.amends.harness.databases import fresh_database
from tests.amends.harness.losing import UNFLUSHED, copy, crash, losing_cluster, put_back, stop_flushing
from tests.amends.store.harness.fire import session, write
from tests.amends.store.harness.projections import NAME, Board, Elsewhere, Lit, board_on
from tests.amends.store.harness.sagas import started
from workflows.amends.background import cancel_tasks
from workflows.amends.ports.event_store import FeedCursor, new_amends_event
from workflows.amends.projections.runner import Runner


@pytest.fixture(scope="module")
def losing() -> Iterator[EmbeddedPostgres]:
    yield from losing_cluster()


@pytest.fixture
def url(losing: EmbeddedPostgres) -> URL:
    url = fresh_database(losing)
    stop_flushing(losing)
    return url


@asynccontextmanager
async def followed(url: URL) -> AsyncIterator[tuple[Board, Runner]]:
    async with board_on(url) as it:
        runner = it.runner()
        running = asyncio.create_task(runner.run())
        try:
            yield it, runner
            assert not running.done(), "one runner does all of it, with what it remembers"
        finally:
            await cancel_tasks(running)
            assert isinstance(runner._feed_notifier, FeedNotifier)
            await runner._feed_notifier.stop()


async def lost(url: URL, id: str, *told: object) -> None:
    """Append what nothing has flushed."""
    async with session(url) as writer:
        await writer.execute(UNFLUSHED)
        await write(writer, *(new_amends_event(f"lamp-{id}", each, Cause()) for each in told))
        await writer.commit()


async def crashed(it: Board, losing: EmbeddedPostgres) -> None:
    """The server was killed and is back; connections from before are given up, as a watch sees to."""
    crash(losing)
    await renewed(it)


async def renewed(it: Board) -> None:
    assert isinstance(it.store.reader.pool, Pool)
    await it.store.reader.pool.discard_connections()
    await it.store.committer.resend_all()


async def as_expected(it: Board) -> None:
    async with asyncio.timeout(30):
        while await it.rows() != await it.expected():
            await asyncio.sleep(0.02)


async def looked(runner: Runner, it: Board) -> None:
    """Wait until a runner has looked at all that there is."""
    newest = (await it.events.feed(limit=1000))[-1].cursor
    async with asyncio.timeout(30):
        while runner._looked < newest:
            await asyncio.sleep(0.01)


async def test_a_runner_reads_again_what_it_remembers_of_events_that_are_gone(
    url: URL, losing: EmbeddedPostgres
) -> None:
    async with followed(url) as (it, _):
        await it.append("kept", Lit(1))
        await as_expected(it)
        await lost(url, "kept", Lit(50))
        await lost(url, "gone", Lit(50))
        await as_expected(it)
        assert len(await it.rows()) == 2
        await crashed(it, losing)
        await it.append("kept", Lit(2))
        await as_expected(it)
        assert (await it.rows())["kept"]["watts"] == 3


async def test_a_runner_does_not_pass_over_what_is_written_where_it_has_looked_before(
    url: URL, losing: EmbeddedPostgres
) -> None:
    """It had looked at events that did not concern it: its checkpoint did not move, and so did not go back."""
    async with followed(url) as (it, runner):
        await it.append("kept", Lit(1))
        await as_expected(it)
        for _ in range(8):
            await lost(url, "other", Elsewhere())
        await looked(runner, it)
        beyond = runner._looked
        await crashed(it, losing)
        cursor = await it.append("kept", Lit(2))
        assert cursor < beyond
        await as_expected(it)
        assert (await it.rows())["kept"]["watts"] == 3


async def test_a_runner_goes_on_from_the_checkpoint_of_a_copy_that_was_put_back(
    url: URL, losing: EmbeddedPostgres
) -> None:
    async with board_on(url) as it:
        await it.append("kept", Lit(1))
        await it.follow()
        copied = losing.root / "copied"
        copy(losing, copied)
        await renewed(it)
        await it.append("kept", Lit(10))
        runner = it.runner()
        await runner.catch_up()
        put_back(losing, copied)
        await renewed(it)
        for number in range(3):
            await it.append(f"new-{number}", Lit(1))
        await it.follow()
        assert await it.rows() == await it.expected()
        assert len(await it.rows()) == 4


async def test_nobody_waits_for_a_place_that_is_gone(url: URL, losing: EmbeddedPostgres) -> None:
    async with board_on(url) as it:
        await it.append("kept", Lit(1))
        await lost(url, "gone", Lit(1))
        gone = (await it.events.feed())[-1].cursor
        await crashed(it, losing)
        await it.follow()
        with pytest.raises(WentBack):
            await it.views.wait_for(NAME, gone, 60)
        kept = (await it.events.feed())[-1].cursor
        assert await it.views.wait_for(NAME, kept, 20)
        await it.append("new", Lit(1))
        await it.append("new", Lit(1))
        await it.follow()
        with pytest.raises(WentBack):
            await it.views.wait_for(NAME, FeedCursor(*gone, gone.event, gone.run), 60)


async def test_tables_of_read_models_that_are_gone_are_made_again(url: URL) -> None:
    async with board_on(url) as it:
        store = it.store
        runners = Runners(it.builds, FeedNotifier(store.reader), lambda: "test")
        await runners.start()
        try:
            with psycopg.connect(conninfo(url), autocommit=True) as sql:
                sql.execute("drop table views.lamp_board_1 cascade")
                sql.execute("delete from amends.builds")
            await runners.on_new_server_run()
            async with asyncio.timeout(30):
                while not await it.builds.all(NAME):
                    await asyncio.sleep(0.02)
            await it.append("new", Lit(1))
            await as_expected(it)
        finally:
            await runners.stop()


async def test_a_saga_is_looked_up_anew(url: URL) -> None:
    """Its id may be that of another one by now."""
    async with board_on(url) as it:
        id = await started(it.store)
        kinds = PostgresSagaLookup(it.store.reader)
        await kinds.look_up([id])
        assert kinds.saga_type(id) == ("place-order", 1)
        await kinds.on_new_server_run()
        assert kinds.saga_type(id) is None
