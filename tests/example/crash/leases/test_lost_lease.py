"""A lease that is taken away, or lost with its row: the server goes on as another executor, nothing is done twice."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import datetime

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo
from app.amends.server.serve import LEASE_LOST
from tests.amends.harness.databases import drop_database, fresh_database
from tests.example.crash.ledger import doubled_keys, net_effects
from tests.example.server import Server, http, wait_for

LEASE = 2
HAPPY = {"hold": 1, "charge": 1, "book": 1}
PATHS = [{}, {"sku": "SLOW-boat"}, {"token": "tok_declined"}, {"token": "tok_flaky"}, {"postcode": "00000"}]
WITH_MORE_SAGAS = (sys.executable, "-m", "tests.example.crash.code.blocking")
TAKEN = "select amends.end_executors(array[%s], 'a test', true)"
LOST = "delete from amends.executors where id = %s"


@pytest.fixture(scope="module")
def url(postgres_18: EmbeddedPostgres) -> Iterator[URL]:
    made = fresh_database(postgres_18)
    yield made
    drop_database(postgres_18, made)


@pytest.fixture
def sql(url: URL) -> Iterator[psycopg.Connection]:
    with psycopg.connect(conninfo(url), autocommit=True) as connection:
        yield connection


def who(server: Server) -> str:
    return str(server.get("/healthz")["executor"])


def is_another(server: Server, before: str) -> bool:
    answer = http.get(f"{server.base}/readyz")
    return answer.status_code == 200 and answer.json()["executor"] != before


def released(sql: psycopg.Connection, executor: str) -> datetime:
    """The database's time, when an ended executor has no saga any more: one that was just committing is released a
    moment later than the others, and may commit until then."""
    held = "select count(*) from dbos.workflow_status where executor_id = %s and status = 'PENDING'"
    wait_for(lambda: sql.execute(held, (executor,)).fetchone() == (0,), "its sagas are released")
    found = sql.execute("select clock_timestamp()").fetchone()
    assert found
    time: datetime = found[0]
    return time


def check(server: Server, sql: psycopg.Connection, orders: dict[str, dict[str, str]]) -> None:
    """Every order has ended as it should, and was carried out once."""
    for id, changes in orders.items():
        fails = changes.get("token") == "tok_declined" or "postcode" in changes
        assert server.saga_when_back(id)["status"] == ("compensated" if fails else "completed")
        assert net_effects(sql, id) == ({} if fails else HAPPY), id
    assert doubled_keys(sql) == 0


@pytest.mark.parametrize("how", [TAKEN, LOST], ids=["taken-away", "lost"])
def test_a_server_whose_lease_is_gone_takes_another_one_and_its_sagas_go_on(
    url: URL, sql: psycopg.Connection, how: str, request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.id
    with Server(url, lease_seconds=LEASE) as server, Server(url, lease_seconds=LEASE) as other:
        server.start()
        provider = f"{server.base}/sandbox"
        other.environment["AMENDS_PROVIDER_URL"] = provider
        other.start()
        orders, gone = dict[str, dict[str, str]](), dict[str, datetime]()
        for turn in range(2):
            more = {f"{name}-{turn}-{number}": PATHS[number % len(PATHS)] for number in range(6)}
            for number, (id, changes) in enumerate(more.items()):
                assert (server, other)[number % 2].place_order(id, **changes).status_code == 202
            orders |= more
            before = who(server)
            sql.execute(how, (before,))
            gone[before] = released(sql, before)
            wait_for(lambda before=before: is_another(server, before), "it goes on as another executor")  # type: ignore[misc]
        check(other, sql, orders)
        assert server.said.count("goes on as a new executor") == len(gone) == 2
        late = "select stream, type from amends.events where metadata ->> 'executor' = %s and recorded_at > %s"
        for executor, ended in gone.items() if how == TAKEN else ():
            assert sql.execute(late, (executor, ended)).fetchall() == [], "nothing was committed afterwards"
        other.stop()
        assert server.place_order(f"{name}-last").status_code == 202
        check(server, sql, {f"{name}-last": {}})
        runs = "select count(*) from amends.events where stream = %s and metadata ->> 'executor' = %s"
        assert sql.execute(runs, (f"saga-{name}-last", who(server))).fetchone() != (0,), "under its new name"
        mine = "select bool_and(runner like %s || '/%%') from amends.builds where runner is not null"
        wait_for(lambda: sql.execute(mine, (who(server),)).fetchone() == (True,), "so do its read models")


def test_who_blocks_is_put_on_record_for_the_executor_that_a_server_is_now(url: URL, sql: psycopg.Connection) -> None:
    with Server(url, lease_seconds=LEASE) as server:
        server.start(command=WITH_MORE_SAGAS)
        before = who(server)
        sql.execute(TAKEN, (before,))
        wait_for(lambda: is_another(server, before), "it goes on as another executor")
        now = who(server)
        server.post("/workflows/blocking", {"how": "sleep", "seconds": 3.5, "times": 1}, Idempotency_Key="blocks")
        assert server.saga("blocks")["status"] == "completed"
        told = "select data ->> 'executor' from amends.events where type = 'event-loop-blocked'"
        wait_for(lambda: sql.execute(told).fetchall() == [(now,)], "it is on record")


def test_a_server_whose_sagas_do_not_end_without_the_lease_ends_itself(url: URL, sql: psycopg.Connection) -> None:
    """Code that swallows its cancellation, and a function in a thread, could call somebody under the new lease."""
    with Server(url, lease_seconds=LEASE) as one, Server(url, lease_seconds=LEASE) as two:
        for server, how in ((one, "sleep"), (two, "thread")):
            server.start(command=WITH_MORE_SAGAS)
            server.post("/workflows/swallowing", {"how": how, "seconds": 60}, Idempotency_Key=how)
            wait_for(lambda server=server: server.get("/readyz")["running"] == 1, "it runs")  # type: ignore[misc]
        for server in (one, two):
            sql.execute(TAKEN, (who(server),))
        for server in (one, two):
            assert server.wait(20) == LEASE_LOST
            assert "code of its sagas does not end" in server.said
            assert "goes on as a new executor" not in server.said
        assert "These do not end: call of " in one.said
