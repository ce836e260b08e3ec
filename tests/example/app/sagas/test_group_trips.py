"""Sagas that start others, on a running server: a group travels and pays, or nothing of it remains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from app.amends.postgres.embedded.server import EmbeddedPostgres
from tests.amends.harness.databases import fresh_database
from tests.example.crash.ledger import net_effects
from tests.example.server import Server, http, problem, wait_for

ANN = {"traveller": "Ann Example", "flight": "LH1", "hotel": "Ritz", "car": "Mini"}
BOB = {"traveller": "Bob Example", "flight": "LH1", "hotel": "Ritz", "car": "Golf"}
YES = {"approved": True, "by": "ann"}


@pytest.fixture(scope="module")
def server(postgres_18: EmbeddedPostgres) -> Iterator[Server]:
    with Server(fresh_database(postgres_18), approval_limit=1000) as server:
        yield server.start()


@pytest.fixture
def sql(server: Server) -> Iterator[psycopg.Connection]:
    with psycopg.connect(server.environment["DATABASE_URL"], autocommit=True) as connection:
        yield connection


def begin(server: Server, *members: dict[str, str], price: int = 500) -> str:
    id = f"g-{uuid4().hex[:8]}"
    for account, balance in ((f"{id}-a", 2000), (f"{id}-b", 0)):
        opening = {"account_id": account, "owner": "Ann", "currency": "EUR", "opening_balance": balance}
        assert server.post("/accounts", opening).status_code == 201
    body = {"group_id": id, "members": list(members or (ANN, BOB)), "price": price, "currency": "EUR"}
    body |= {"from_account": f"{id}-a", "to_account": f"{id}-b"}
    assert server.post("/workflows/book-group-trip", body, Idempotency_Key=id).status_code == 202
    return id


def until(server: Server, id: str, status: str) -> dict[str, Any]:
    """The saga once it has that status; a child may have to be started first."""
    wait_for(lambda: http.get(f"{server.base}/workflows/{id}").json().get("status") == status, f"{id} is {status}")
    found: dict[str, Any] = server.get(f"/workflows/{id}")
    return found


def left(sql: psycopg.Connection, id: str) -> list[dict[str, int]]:
    """What was really booked and not cancelled, trip by trip."""
    return [net_effects(sql, f"{id}-{number}") for number in (1, 2)]


def balances(server: Server, id: str) -> list[int]:
    return [server.get(f"/accounts/{id}-{account}")["balance"] for account in ("a", "b")]


def test_everybody_travels_and_each_child_is_a_saga_to_be_looked_at(server: Server, sql: psycopg.Connection) -> None:
    id = begin(server)
    saga = until(server, id, "completed")
    assert left(sql, id) == [{"book": 3}, {"book": 3}]
    assert balances(server, id) == [1500, 500]
    children = [step["child"] for step in saga["steps"]]
    listed = server.get("/workflows", parent=id)["workflows"]
    assert {row["id"] for row in listed} == set(children)
    assert children == [f"{id}.book-trip.1.0", f"{id}.book-trip.2.0", f"{id}.transfer-money.1.0"]
    for child in children:
        found = server.get(f"/workflows/{child}")
        assert (found["status"], found["parent"]) == ("completed", id)
        assert found["correlation_id"] == saga["correlation_id"]
    rows = sql.execute(
        "select parent_workflow_id from dbos.workflow_status where workflow_uuid = any (%s)", (children,)
    )
    assert rows.fetchall() == [(id,)] * 3, "DBOS's tools show the family"
    assert "Example" not in str(server.get(f"/workflows/{id}/events")), "personal data is masked in the parent too"


def test_a_refusal_of_one_calls_the_others_back(server: Server, sql: psycopg.Connection) -> None:
    id = begin(server, ANN, BOB | {"hotel": "SOLD-OUT"})
    saga = until(server, id, "compensated")
    assert saga["reason"] == "The hotel SOLD-OUT is sold out."
    assert left(sql, id) == [{}, {}]
    assert [step["status"] for step in saga["steps"]] == ["compensated", "refused"]
    first = server.get(f"/workflows/{saga['steps'][0]['child']}")
    assert first["status"] == "compensated"
    assert first["reason"].startswith(f"cancelled: its parent {id} turns back")
    status = sql.execute("select status from dbos.workflow_status where workflow_uuid = %s", (first["id"],)).fetchone()
    assert status == ("ERROR",), "DBOS's tools do not show it as a success any more"


def test_completed_children_are_undone_when_the_money_is_missing(server: Server, sql: psycopg.Connection) -> None:
    id = begin(server, price=900_000)
    child = f"{id}.transfer-money.1.0"
    saga = until(server, id, "compensated")
    assert left(sql, id) == [{}, {}]
    assert balances(server, id) == [2000, 0]
    assert server.get(f"/workflows/{child}")["status"] == "compensated"
    assert saga["error"]["name"] == "not-enough-money"


def test_a_child_waits_for_its_own_approval_and_a_cancel_travels_to_it(server: Server, sql: psycopg.Connection) -> None:
    id, other = begin(server, price=1500), begin(server, price=1500)
    for each in (id, other):
        until(server, f"{each}.transfer-money.1.0", "waiting")
        assert until(server, each, "waiting")["waiting_for"] == f"the child {each}.transfer-money.1.0"
    assert server.post(f"/workflows/{id}.transfer-money.1.0/signals/approval", YES).status_code == 202
    assert server.post(f"/workflows/{other}/cancel", {"reason": "no"}).status_code == 202
    until(server, id, "completed")
    saga = until(server, other, "compensated")
    assert saga["reason"] == "cancelled: no"
    assert left(sql, other) == [{}, {}]
    assert balances(server, other) == [2000, 0]
    told = [event["type"] for event in server.get(f"/workflows/{other}/events")["events"]]
    assert told.count("child-recalled") == 3


def test_nobody_else_speaks_for_a_child_or_takes_its_id(server: Server) -> None:
    id = begin(server, price=1500)
    child = f"{id}.transfer-money.1.0"
    until(server, child, "waiting")
    said = server.post(f"/workflows/{id}/signals/child {child}", {"status": "completed", "result": {}})
    problem(said, 404, "not-found")
    server.post(f"/workflows/{id}/cancel", {"reason": "over"})
    until(server, id, "compensated")


def test_a_child_whose_id_is_taken_is_a_matter_for_a_person(server: Server, sql: psycopg.Connection) -> None:
    id = f"g-{uuid4().hex[:8]}"
    taken = f"{id}.book-trip.1.0"
    assert server.post("/workflows/book-trip", ANN | {"trip_id": "mine"}, Idempotency_Key=taken).status_code == 202
    body = {"group_id": id, "members": [ANN], "price": 5, "currency": "EUR", "from_account": "x", "to_account": "y"}
    assert server.post("/workflows/book-group-trip", body, Idempotency_Key=id).status_code == 202
    saga = until(server, id, "stuck")
    assert "another workflow has the id" in saga["reason"]
    assert server.post(f"/workflows/{id}/cancel", {"reason": "start it anew"}).status_code == 202
    until(server, id, "compensated")
    assert server.get(f"/workflows/{taken}")["status"] == "completed"
