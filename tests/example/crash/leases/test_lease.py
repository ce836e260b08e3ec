"""What becomes of a lease, and of a server that is asked to stop, while the database is away."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import psycopg
import pytest

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo, parse_url
from tests.amends.crash.standstill import frozen
from tests.amends.harness.databases import make_cluster, migrated
from tests.example.crash.ledger import doubled_keys, net_effects
from tests.example.server import Server, http, wait_for

HAPPY = {"hold": 1, "charge": 1, "book": 1}


@pytest.fixture(scope="module")
def postgres() -> Iterator[EmbeddedPostgres]:
    """One Postgres for this file, to be stopped, and to stand still."""
    yield from make_cluster(made=migrated)


def pause(seconds: float) -> None:
    began = time.monotonic()
    wait_for(lambda: time.monotonic() - began > seconds, "so much time has passed")


def is_ready(server: Server) -> bool:
    return http.get(f"{server.base}/readyz").status_code == 200


def ask_to_stop(server: Server) -> None:
    assert server.process is not None
    server.process.send_signal(signal.SIGTERM)


def test_a_switchover_of_three_seconds_costs_nobody_the_lease(postgres: EmbeddedPostgres) -> None:
    """Neither a database that stands still nor one that is stopped, with the lease of five seconds that is usual."""
    url = parse_url(postgres.url)
    with Server(url) as one, Server(url) as two, psycopg.connect(conninfo(url), autocommit=True) as sql:
        executors = {server.start().get("/healthz")["executor"] for server in (one, two)}
        held = "select count(*) = 2 from amends.executors where ended_at is null and renewed_at > started_at + '5.5 s'"
        wait_for(lambda: sql.execute(held).fetchone() == (True,), "both have held their leases so long that they may")
        with frozen(postgres):
            pause(3)
        wait_for(lambda: is_ready(one) and is_ready(two), "both are ready")
        alive = sql.execute("select id from amends.executors where ended_at is null and lease_until > now()").fetchall()
        assert {id for (id,) in alive} == executors
        assert "has not answered for" not in one.said + two.said


def test_a_backend_that_is_killed_for_want_of_memory_ends_nothing(postgres: EmbeddedPostgres) -> None:
    """Postgres cuts all connections then, and recovers as after a crash."""
    url = parse_url(postgres.url)
    with Server(url) as server:
        executor, orders = server.start().get("/healthz")["executor"], [f"killed-{number}" for number in range(4)]
        for number, id in enumerate(orders):
            assert server.place_order(id, sku="SLOW-boat" if number % 2 else "apple").status_code == 202
        with psycopg.connect(conninfo(url), autocommit=True) as sql:
            backends = "select pid from pg_stat_activity where application_name = 'amends committer'"
            found = sql.execute(backends).fetchone()
        assert found
        os.kill(found[0], signal.SIGKILL)
        assert {server.saga_when_back(id)["status"] for id in orders} == {"completed"}
        wait_for(lambda: is_ready(server), "it is ready again")
        assert server.get("/healthz")["executor"] == executor
        with psycopg.connect(conninfo(url), autocommit=True) as sql:
            assert all(net_effects(sql, id) == HAPPY for id in orders)
            assert doubled_keys(sql) == 0


def test_a_server_that_is_asked_to_stop_hands_over_what_it_runs_if_the_database_is_back_in_time(
    postgres: EmbeddedPostgres,
) -> None:
    url = parse_url(postgres.url)
    with Server(url) as server:
        server.start()
        server.place_order("handed-over", sku="SLOW-boat")
        postgres.stop()
        ask_to_stop(server)
        wait_for(lambda: "Stopping" in server.said, "it has heard of it")
        postgres.start()
        assert server.wait(20) == 0
        assert "were handed over with that" in server.said
        assert server.start().saga("handed-over")["status"] == "completed"


def test_a_server_that_is_asked_to_stop_ends_although_the_database_stands_still(postgres: EmbeddedPostgres) -> None:
    url = parse_url(postgres.url)
    with Server(url) as server:
        server.start()
        server.place_order("left", sku="SLOW-boat")
        with frozen(postgres):
            ask_to_stop(server)
            assert server.wait(20) == 0
            assert server.said.count("ends without handing over what ran here") == 1
        assert server.start().saga("left")["status"] == "completed"
    with psycopg.connect(conninfo(url), autocommit=True) as sql:
        assert net_effects(sql, "left") == net_effects(sql, "handed-over") == HAPPY
        assert doubled_keys(sql) == 0


def test_a_server_that_starts_before_its_database_waits_for_it(postgres: EmbeddedPostgres) -> None:
    postgres.stop()
    with Server(parse_url(postgres.url)) as server:
        server.launch()
        wait_for(lambda: "The database is waited for" in server.said, "it waits")
        postgres.start()
        assert server.until_up().place_order("early").status_code == 202
        assert server.saga("early")["status"] == "completed"
        assert "Connection refused" in server.said
        assert "Traceback" not in server.said


def test_a_server_that_is_asked_to_stop_while_it_waits_for_its_database_ends(postgres: EmbeddedPostgres) -> None:
    with Server(parse_url(postgres.url)) as server, frozen(postgres):
        server.launch()
        wait_for(lambda: "The database is waited for" in server.said, "it waits")
        ask_to_stop(server)
        assert server.wait(20) == 128 + signal.SIGTERM
        assert "asked to stop before the database was ready" in server.said
        assert "Traceback" not in server.said
