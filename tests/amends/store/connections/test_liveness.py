"""A process that cannot get through to a database that answers says so and ends; one whose database is away waits."""

from __future__ import annotations

import asyncio
import sys

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres import liveness
from app.amends.postgres.connections.pool import Pool
from app.amends.postgres.connections.watch import DatabaseWatch
from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.liveness import Liveness
from app.amends.postgres.statements.reader import Reader
from app.amends.postgres.urls import conninfo, parse_url
from app.amends.server.serve import UNFIT
from tests.amends.harness.server import Server, http, wait_for


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(liveness, "UNFIT_SECONDS", 0.5)


async def test_it_is_unfit_once_no_read_comes_through_while_the_database_answers(database: URL, quick: None) -> None:
    unfit = asyncio.Event()
    async with Pool(database, 2) as readers:
        readers.timeout = 0.1
        seeing = Liveness(Reader(readers), DatabaseWatch(database), unfit.set)
        watching = asyncio.create_task(seeing.watch())
        lost = [await readers.getconn(10) for _ in range(2)]
        async with asyncio.timeout(30):
            await unfit.wait()
            await watching
        assert "no read of this process has come through" in str(seeing.problem)
        for each in lost:
            await readers.putconn(each)
        await seeing._database.stop()


async def test_it_is_fit_while_the_database_is_away(cluster: EmbeddedPostgres, quick: None) -> None:
    url = parse_url(cluster.url)
    watch = DatabaseWatch(url)
    async with Pool(url, 2) as readers:
        readers.timeout = 0.1
        seeing = Liveness(Reader(readers), watch, lambda: None)
        watching = asyncio.create_task(seeing.watch())
        assert await watch.ask_problem() is None
        await asyncio.to_thread(cluster.stop)
        away = [await watch.ask_problem() for _ in range(20)]
        assert all(away)
        assert not await asyncio.wait_for(seeing._comes_through(), 30)
        assert seeing.problem is None
        await asyncio.to_thread(cluster.start)
        async with asyncio.timeout(30):
            while await watch.ask_problem() is not None:
                pass
        assert seeing.problem is None
        watching.cancel()
    await watch.stop()


async def test_those_who_ask_at_the_same_time_share_one_connection(database: URL) -> None:
    watch = DatabaseWatch(database)
    assert set(await asyncio.gather(*(watch.ask_problem() for _ in range(100)))) == {None}
    with psycopg.connect(conninfo(database)) as connection:
        count = "select count(*) from pg_stat_activity where application_name = 'amends watch'"
        assert connection.execute(count).fetchone() == (1,)
    await watch.stop()


def test_a_server_that_is_unfit_ends_with_a_status_of_its_own(database_18: URL) -> None:
    code = (
        "import asyncio\n"
        "from app.amends.postgres import liveness\n"
        "liveness.LOOK_SECONDS, liveness.UNFIT_SECONDS = 0.05, 0.3\n"
        "async def never(self): return False\n"
        "liveness.Liveness._comes_through = never\n"
        "from app.amends.cli.main import main\n"
        "main()\n"
    )
    server = Server(database_18)
    command = (sys.executable, "-c", code, "up")
    server.launch(command=command)
    assert server.wait(60) == UNFIT
    assert "it ends, so that it is started again and others take over" in server.said


def test_what_is_asked_of_a_server_while_a_table_is_locked(database_18: URL) -> None:
    """Metrics leave out what they cannot say, and readiness does not depend on any table."""
    with Server(database_18) as server, psycopg.connect(conninfo(database_18)) as locking:
        server.start()
        locking.execute("lock table amends.sagas, amends.builds in access exclusive mode")
        for _ in range(12):
            answer = http.get(f"{server.base}/metrics", timeout=10)
            assert answer.status_code == 200
            assert 'amends_metrics_missing{part="sagas"} 1.0' in answer.text
            assert 'amends_metrics_missing{part="queue"} 1.0' in answer.text
            assert "amends_queue_depth " not in answer.text, "what is not known is not said to be 0"
            assert 'amends_metrics_missing{part="feed"} 0.0' in answer.text
            assert "amends_events_newest_position" in answer.text
        assert server.get("/readyz")["status"] == "ready"
        locking.rollback()
        wait_for(lambda: 'part="sagas"} 0.0' in http.get(f"{server.base}/metrics").text, "all is said again")
