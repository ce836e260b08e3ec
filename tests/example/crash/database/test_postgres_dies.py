"""Postgres is killed, stopped for long, or dies together with the server: no saga ends, none is lost."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.connections.pool import Pool
from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.statements.reader import Reader
from app.amends.postgres.urls import conninfo, parse_url
from domain.amends.errors import Unavailable
from tests.amends.harness.program import Forked
from tests.example.crash.ledger import doubled_keys, net_effects
from tests.example.server import Server, wait_for

PATHS = [{}, {"token": "tok_declined"}, {"postcode": "00000"}, {"token": "tok_flaky"}, {"sku": "SLOW-boat"}]
HAPPY = {"hold": 1, "charge": 1, "book": 1}


def kill(cluster: EmbeddedPostgres) -> None:
    """SIGKILL to the whole server."""
    postgres = cluster.process()
    assert postgres is not None
    for process in [postgres, *postgres.children()]:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def place(server: Server, count: int) -> dict[str, dict[str, str]]:
    """Orders on every path; returns them by id."""
    orders = {f"o-{number}": PATHS[number % len(PATHS)] for number in range(count)}
    for id, changes in orders.items():
        assert server.place_order(id, **changes).status_code == 202
    return orders


def check(url: URL, server: Server, orders: dict[str, dict[str, str]]) -> None:
    """Every order has ended as it should, and its effects say the same."""
    with psycopg.connect(conninfo(url), autocommit=True) as sql:
        for id, changes in orders.items():
            fails = changes.get("token") == "tok_declined" or "postcode" in changes
            assert server.saga_when_back(id)["status"] == ("compensated" if fails else "completed")
            assert net_effects(sql, id) == ({} if fails else HAPPY), id
        assert doubled_keys(sql) == 0
        lost = "select count(*) from amends.sagas where status not in ('completed', 'compensated')"
        assert sql.execute(lost).fetchone() == (0,)


def test_sagas_go_on_after_postgres_was_killed_under_them(cluster: EmbeddedPostgres) -> None:
    url = parse_url(cluster.url)
    with Server(url) as server:
        server.start()
        orders = place(server, 20)
        for _ in range(3):
            kill(cluster)
            cluster.start()
            wait_for(lambda: cluster.answers(), "Postgres is back")
        check(url, server, orders)


def test_the_server_and_postgres_die_together(cluster: EmbeddedPostgres) -> None:
    url = parse_url(cluster.url)
    with Server(url) as server:
        server.start()
        orders = place(server, 20)
        kill(cluster)
        server.kill()
        cluster.start()
        server.start()
        check(url, server, orders)


def test_whoever_watches_a_saga_sees_its_end_also_if_the_server_and_postgres_die(
    cluster: EmbeddedPostgres, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    with Server(parse_url(cluster.url)) as server:
        server.start()
        place(server, 1)
        server.saga("o-0")
        server.place_order("o-1", sku="SLOW-boat")
        server.kill()
        with said.open("wb") as out:
            watch = Forked.start("amends", ["workflows", "show", "o-1", "--watch"], server.environment, out, out)
        wait_for(lambda: "saga-started" in said.read_text(), "it is watched")
        kill(cluster)
        wait_for(lambda: "The database does not answer: this waits for it" in said.read_text(), "that is said")
        cluster.start()
        wait_for(lambda: "The database answers again." in said.read_text(), "that too")
        server.start()
        assert watch.wait(60) == 0
    told = said.read_text()
    assert told.splitlines()[-1] == "place-order version 1, o-1: completed"
    assert told.count("The database ") == 2
    assert "pool" not in told


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seconds", [25, pytest.param(60, marks=pytest.mark.soak)])
def test_no_saga_ends_while_postgres_is_stopped(cluster: EmbeddedPostgres, seconds: int) -> None:
    """The shorter time is longer than any lease or patience there is."""
    url = parse_url(cluster.url)
    with Server(url) as one, Server(url) as two:
        one.start()
        two.start()
        orders = place(one, 20)
        cluster.stop()
        stopped = time.monotonic()
        wait_for(lambda: time.monotonic() - stopped > seconds, "it has been stopped for long", 90)
        cluster.start()
        check(url, one, orders)
        for server in (one, two):
            assert server.process is not None
            assert server.process.poll() is None, "nobody took the other for dead"


async def test_connections_are_back_as_soon_as_the_database_is_after_a_long_time(cluster: EmbeddedPostgres) -> None:
    """A pool that tried by itself only would wait as long again as the database was away."""
    async with Pool(parse_url(cluster.url), 2) as readers:
        await readers.wait()
        cluster.stop()
        reader = Reader(readers)
        async with asyncio.timeout(60):
            while readers.get_stats()["pool_size"] > 0:
                with suppress(Unavailable):
                    await reader.tuples("select 1", (), 0.1)
        cluster.start()
        assert await reader.tuples("select 1", ()) == [(1,)]
