"""A server that sleeps longer than its lease wakes up as nobody: it commits nothing, calls nobody, and begins anew."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg
from sqlalchemy import URL

from app.amends.postgres.urls import conninfo
from tests.example.crash.ledger import doubled_keys, net_effects
from tests.example.server import Server, wait_for

LEASE = 2


def one(connection: psycopg.Connection, statement: str, *parameters: Any) -> Any:
    row = connection.execute(statement, parameters).fetchone()
    assert row is not None
    return row[0]


def test_a_paused_server_whose_sagas_were_taken_over_goes_on_as_another_without_a_trace(database_18: URL) -> None:
    ids = [f"order-{number}" for number in range(12)]
    with (
        Server(database_18, lease_seconds=LEASE) as other,
        psycopg.connect(conninfo(database_18), autocommit=True) as sql,
    ):
        other.start()
        with Server(database_18, lease_seconds=LEASE, provider_url=f"{other.base}/sandbox") as paused:
            paused.start()
            executor = paused.get("/healthz")["executor"]
            for number, id in enumerate(ids):
                paused.place_order(id, sku="SLOW-boat" if number % 2 else "apple", token="tok_late_charge")
            wait_for(lambda: one(sql, "select count(*) from sandbox.calls") >= 6, "calls are under way")
            paused.pause()
            for id in ids:
                assert other.saga_when_back(id)["status"] == "compensated"
            ended = one(sql, "select ended_by from amends.executors where id = %s", executor)
            assert ended == other.get("/healthz")["executor"]

            events, calls = (
                one(sql, "select count(*) from amends.events"),
                one(sql, "select max(id) from sandbox.calls"),
            )
            woken: datetime = one(sql, "select clock_timestamp()")
            paused.resume()
            wait_for(lambda: paused.get("/healthz")["executor"] != executor, "it goes on as another executor")
            assert "was taken away" in paused.said
            assert "blocked the event loop" not in paused.said, "nobody is to blame for a pause"
            assert one(sql, "select count(*) from amends.events where type = 'event-loop-blocked'") == 0
            assert one(sql, "select count(*) from amends.events") == events, "nothing was committed"
            by_it = "select count(*) from amends.events where metadata ->> 'executor' = %s and recorded_at > %s"
            assert one(sql, by_it, executor, woken) == 0
            late = "select * from sandbox.calls where id > %s and outcome not like '%%took effect%%'"
            assert sql.execute(late, [calls]).fetchall() == [], "nobody was called"
        for id in ids:
            assert net_effects(sql, id) == {}
        assert doubled_keys(sql) == 0


def test_a_pause_that_nobody_noticed_ends_nothing(database_18: URL) -> None:
    """Alone on its database, a server that was paused beyond its lease takes it up again."""
    with (
        Server(database_18, lease_seconds=LEASE) as server,
        psycopg.connect(conninfo(database_18), autocommit=True) as sql,
    ):
        server.start()
        server.place_order("alone", sku="SLOW-boat")
        server.pause()
        expired = "select bool_and(lease_until < clock_timestamp()) from amends.executors"
        wait_for(lambda: one(sql, expired), "its lease is over")
        server.resume()
        assert server.saga_when_back("alone")["status"] == "completed"
        assert "was blocked" not in server.said
        assert one(sql, "select count(*) from amends.events where type = 'event-loop-blocked'") == 0
        assert server.process is not None
        assert server.process.poll() is None
