"""Whoever follows the feed for a read model is killed or paused in its commit: nothing is missed or doubled."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from sqlalchemy import URL

from domain.amends.event import EventType
from domain.amends.projection import Projection, Recorded
from domain.banking.account_balances import account_balances
from domain.ordering.order_board import order_board
from tests.amends.harness.holding import CommitHolder
from tests.example.server import Server, http, wait_for
from workflows.amends.ports.event_store import load_event

BOARDS: tuple[Projection[Any, Any], ...] = (order_board, account_balances)


def order(server: Server, *ids: str) -> list[Any]:
    for id in ids:
        assert server.place_order(id).status_code == 202
    return [server.saga_when_back(id) for id in ids]


def is_right(sql: psycopg.Connection, projection: Projection[Any, Any]) -> None:
    """The table has what all events add up to, and has counted each of them once."""
    types = [type.name for type in projection.vocabulary.stored_types]
    rows = sql.execute(
        "select stream, version, type, schema_version, data, recorded_at from amends.events where type = any (%s)"
        " order by generation, transaction_id, position",
        (types,),
    ).fetchall()
    history = [
        Recorded(
            load_event(projection.vocabulary, EventType(type, shape), data), stream, stream.split("-", 1)[1], n, at
        )
        for stream, n, type, shape, data, at in rows
    ]
    found = sql.execute(f"select * from views.{projection.name}".encode()).fetchall()
    assert {row[0]: row for row in found} == {
        key: tuple(vars(row).values()) for key, row in projection(history).items()
    }
    counted = sql.execute("select events from amends.builds where name = %s", (projection.name,)).fetchall()
    assert counted == [(len(rows),)]


@pytest.mark.parametrize("landed", [False, True], ids=["lost", "landed"])
def test_a_runner_that_is_killed_in_its_commit_repeats_nothing(
    database_18: URL, sql_18: psycopg.Connection, landed: bool
) -> None:
    with Server(database_18) as server, Server(database_18) as other:
        server.start()
        with CommitHolder.on(database_18) as holder:
            (first,) = order(server, "o-1")
            server.get("/views/order_board/o-1", after_position=first["position"])
            holder.hold(["build order_board"])
            order(server, "o-2", "o-3")
            wait_for(lambda: holder.held() == {"build order_board"}, "the runner is held in its commit")
            server.kill()
            if not landed:
                holder.lose(["build order_board"])
            holder.release(["build order_board"])
            (last,) = order(other.start(), "o-4")
            row = other.get("/views/order_board/o-4", after_position=last["position"], timeout=60)
            assert row["status"] == "confirmed"
            is_right(sql_18, order_board)


def test_a_runner_that_was_paused_writes_nothing_beside_its_successor(
    database_18: URL, sql_18: psycopg.Connection
) -> None:
    with Server(database_18) as server, Server(database_18) as other:
        (first,) = order(server.start(), "o-1")
        server.get("/views/order_board/o-1", after_position=first["position"])
        other.start()
        server.pause()
        (last,) = order(other, "o-2")
        assert other.get("/views/order_board/o-2", after_position=last["position"], timeout=60)["status"] == "confirmed"
        opened = other.post(
            "/accounts", {"account_id": "a", "owner": "Ann", "currency": "EUR", "opening_balance": 5}
        ).json()
        other.get("/views/account_balances/a", after_position=opened["position"], timeout=60)
        server.resume()
        taken = "select count(*) from amends.executors where ended_by is not null and ended_by <> 'itself'"
        wait_for(lambda: sql_18.execute(taken).fetchone() == (1,), "its lease was taken away")
        wait_for(lambda: http.get(f"{server.base}/readyz").status_code == 200, "it goes on as another executor")
        for projection in BOARDS:
            is_right(sql_18, projection)


def test_a_rebuild_that_is_killed_half_way_goes_on_from_there(database_18: URL, sql_18: psycopg.Connection) -> None:
    with Server(database_18) as server, Server(database_18) as other:
        server.start()
        with CommitHolder.on(database_18) as holder:
            (first,) = order(server, "o-1")
            server.get("/views/order_board/o-1", after_position=first["position"])
            holder.hold(["build order_board"])
            assert server.post("/projections/order_board/rebuild").status_code == 202
            wait_for(lambda: holder.held() == {"build order_board"}, "the rebuild is held in its commit")
            server.kill()
            holder.lose(["build order_board"])
            holder.release(["build order_board"])
        other.start()
        wait_for(lambda: (other.get("/projections/order_board")["rebuild"] or {}).get("state") == "ready", "it went on")
        assert other.get("/projections/order_board/verify")["differing"] == 0
        assert other.post("/projections/order_board/promote").status_code == 200
        assert other.post("/projections/order_board/drop", {"build": 1}).status_code == 200
        is_right(sql_18, order_board)
