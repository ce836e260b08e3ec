"""What keeps a read model from going on is seen everywhere once, with its key and event, and mended from outside."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import psycopg
import pytest

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo
from tests.amends.harness.databases import fresh_database
from tests.amends.store.harness.projections import LONG_AGO
from tests.example.app.sagas.test_views import ordered
from tests.example.server import Server, http, problem, wait_for

LETTERS = "".join(random.Random(5).choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", k=2685))


@pytest.fixture(scope="module")
def server(postgres_18: EmbeddedPostgres) -> Iterator[Server]:
    url = fresh_database(postgres_18)
    with psycopg.connect(conninfo(url), autocommit=True) as sql:  # a read model of code that is gone
        sql.execute("""select amends.open_build('old_board', 1, 'k',
            '[{"name": "k", "type": "text", "nullable": false}]', '[]', '{order-placed}', false, true)""")
    with Server(url) as server:
        yield server.start()


@pytest.fixture
def sql(server: Server) -> Iterator[psycopg.Connection]:
    with psycopg.connect(server.environment["DATABASE_URL"], autocommit=True) as connection:
        yield connection


def placed(sql: psycopg.Connection, id: str, customer: str, **changes: Any) -> None:
    """Append the first event of an order past everything that checks it."""
    data = {"order_id": id, "customer_id": customer, "lines": [], "total": {"amount": 1, "currency": "EUR"}} | changes
    event = {"id": str(uuid4()), "stream": f"order-{id}", "type": "order-placed", "schema_version": 1, "data": data}
    item = {"streams": [event["stream"]], "events": [event | {"metadata": {}}], "expected": {}, "answer": None}
    sql.execute("select amends.append(%s::jsonb)", (json.dumps([item]),))


def board(server: Server) -> Any:
    return server.get("/projections/order_board")


def waiting(server: Server, build: int) -> list[str]:
    return [each["key"] for each in board(server)["set_aside_keys"] if each["build"] == build]


def test_a_customer_of_2685_letters_keeps_only_its_order_back(server: Server, sql: psycopg.Connection) -> None:
    id = f"long-{uuid4().hex[:8]}"
    placed(sql, id, LETTERS)
    wait_for(lambda: board(server)["set_aside"] == 1, "it is set aside")
    good = ordered(server)
    assert server.get(f"/views/order_board/{good['id']}", after_position=good["position"])["status"] == "confirmed"
    (aside,) = board(server)["set_aside_keys"]
    assert (aside["key"], aside["type"]) == (id, "order-placed")
    assert "index row" in aside["error"]
    assert (board(server)["status"], board(server)["failure"]) == ("following", None)
    (found,) = [each for each in server.get("/projections")["projections"] if each["name"] == "order_board"]
    assert [each["key"] for each in found["set_aside_keys"]] == [id]
    where = f"{id}, 0 events wait behind order-placed at position {aside['position']}: index row"
    assert where in server.command("projections", "list")
    assert f"{id} (order-placed at position {aside['position']})" in server.command("doctor", status=1)
    metric = f'event="order-placed",key="{id}",position="{aside["position"]}",projection="order_board"'
    assert metric in http.get(f"{server.base}/metrics").text
    said = f"order_board build 1: {id} is set aside, order-placed at position {aside['position']}: index row"
    assert server.said.count(said) == 1
    for act in ("retry", "retry", "skip"):
        assert server.post(f"/projections/order_board/set-aside/{id}/{act}", {"reason": act}).status_code == 202
        wait_for(lambda: not any(each["wish"] for each in board(server)["set_aside_keys"]), "it is done")
    assert board(server)["set_aside"] == 0
    problem(server.post(f"/projections/order_board/set-aside/{id}/skip", {"reason": "again"}), 404, "not-found")
    assert [each["reason"] for each in board(server)["skipped_events"]] == ["skip"]
    assert f"SKIPPED    order_board {id}" in server.command("projections", "list", "order_board")


ODD = ["a/b", "a/retry", "é ü", "100%", "a?b#c", "a\nb", "..", "%2F", "-x"]


def test_keys_of_all_sorts_are_brought_on(server: Server, sql: psycopg.Connection) -> None:
    keys = [*ODD, LETTERS[:2600]]
    for key in keys:
        placed(sql, key, "c", total="much")
    wait_for(lambda: board(server)["set_aside"] == len(keys), "they are set aside")
    for number, key in enumerate(keys):
        if number == 1:
            server.command("projections", "retry", "order_board", key, "--reason", "r")
            server.command("projections", "skip", "order_board", key, "--reason", "s")
        else:
            path = f"/projections/order_board/set-aside/{quote(key, safe='').replace('.', '%2E')}"
            assert server.post(f"{path}/retry", {"reason": "r"}).status_code == 202, key
            assert server.post(f"{path}/skip", {"reason": "s"}).status_code == 202, key
    wait_for(lambda: board(server)["set_aside"] == 0, "they are skipped")
    path = "/projections/order_board/set-aside//skip"
    problem(server.post(path, {"reason": "the empty key"}), 404, "not-found")


def test_a_table_that_is_broken_stops_that_read_model_alone(server: Server, sql: psycopg.Connection) -> None:
    sql.execute("alter table views.order_board_1 rename to elsewhere")
    wait_for(lambda: board(server)["status"] == "failing", "it is told")
    saga = ordered(server)
    assert saga["status"] == "completed"
    server.get(f"/views/workflow_overview/{saga['id']}", after_position=saga["position"])
    assert "views.order_board_1 is missing" in board(server)["failure"]
    assert server.get("/readyz")
    said = server.command("projections", "list")
    assert "FAILING    order_board build 1: views.order_board_1 is missing" in said
    assert "views.order_board_1 is missing" in server.command("doctor", status=1)
    metrics = http.get(f"{server.base}/metrics").text
    assert 'amends_projection_failing{build="1",projection="order_board",state="live"} 1.0' in metrics
    assert 'amends_projection_failing{build="1",projection="workflow_overview",state="live"} 0.0' in metrics
    sql.execute("alter table views.elsewhere rename to order_board_1")
    assert server.get(f"/views/order_board/{saga['id']}", after_position=saga["position"])["status"] == "confirmed"
    wait_for(lambda: board(server)["status"] == "following", "it goes on")
    assert server.said.count("order_board build 1 is not followed for now: views.order_board_1 is missing") == 1


def test_a_table_that_somebody_has_locked_stops_that_read_model_alone(server: Server, sql: psycopg.Connection) -> None:
    with psycopg.connect(server.environment["DATABASE_URL"]) as other:
        other.execute("lock table views.order_board_1 in exclusive mode")
        saga = ordered(server)
        server.get(f"/views/workflow_overview/{saga['id']}", after_position=saga["position"])
        wait_for(lambda: "lock timeout" in (board(server)["failure"] or ""), "it is told")
    assert server.get(f"/views/order_board/{saga['id']}", after_position=saga["position"])["status"] == "confirmed"
    wait_for(lambda: board(server)["failure"] is None, "it goes on")


def test_a_table_that_would_show_less_is_promoted_on_request_only(server: Server, sql: psycopg.Connection) -> None:
    saga = ordered(server)
    server.get(f"/views/order_board/{saga['id']}", after_position=saga["position"])
    assert server.post("/projections/order_board/rebuild").status_code == 202
    wait_for(lambda: board(server)["rebuild"]["state"] == "ready", "it has caught up")
    sql.execute("alter table views.order_board_2 add constraint mine check (status <> 'confirmed') not valid")
    later = ordered(server)
    server.get(f"/views/order_board/{later['id']}", after_position=later["position"])
    wait_for(lambda: later["id"] in waiting(server, 2), "it is set aside there")
    less = problem(server.post("/projections/order_board/promote"), 409, "conflict-set-aside")
    assert later["id"] in less["detail"]
    assert "set aside in it" in server.command("projections", "promote", "order_board", status=1)
    assert f"keys set aside in build 2: {later['id']}" in server.command("doctor", status=1)
    assert server.post("/projections/order_board/promote?allow_set_aside=true").json()["build"] == 2
    assert "shows build 1" in server.command("projections", "promote", "order_board", "--build", "1")
    assert "shows build 2" in server.command(
        "projections", "promote", "order_board", "--build", "2", "--allow-set-aside"
    )
    assert "shows build 1" in server.command("projections", "promote", "order_board", "--build", "1")
    assert "dropped" in server.command("projections", "drop", "order_board")


def test_a_read_model_whose_code_is_gone_is_told_and_dropped(server: Server, sql: psycopg.Connection) -> None:
    (found,) = [each for each in server.get("/projections")["projections"] if each["name"] == "old_board"]
    assert found["status"] == "orphaned"
    assert server.get("/projections/old_board")["status"] == "orphaned"
    problem(http.get(f"{server.base}/views/old_board"), 404, "not-found")
    problem(http.get(f"{server.base}/views/old_board/x"), 404, "not-found")
    for act in ("rebuild", "promote"):
        problem(server.post(f"/projections/old_board/{act}"), 404, "not-found")
    assert "ORPHANED   old_board" in server.command("projections", "list")
    assert "ORPHANED   old_board" in server.command("projections", "list", "old_board")
    assert "read model old_board: orphaned" in server.command("doctor", status=1)
    assert 'projection="old_board",state="orphaned"} 1.0' in http.get(f"{server.base}/metrics").text
    assert server.said.count("old_board has tables, and its code is gone") == 1
    sql.execute(LONG_AGO)
    assert "old_board build 1 is dropped" in server.command("projections", "drop", "old_board")
    problem(server.post("/projections/old_board/drop"), 404, "not-found")
    assert sql.execute("select to_regclass('views.old_board_1'), to_regclass('views.old_board')").fetchone() == (
        None,
        None,
    )
