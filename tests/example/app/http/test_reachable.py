"""What could not be reached afterwards is refused when it is made: over HTTP, at the command line, at import."""

from __future__ import annotations

import json
from collections.abc import Iterator
from uuid import uuid4

import pytest

from app.amends.postgres.embedded.server import EmbeddedPostgres
from tests.amends.app.test_command_line import TRANSFER
from tests.amends.harness.databases import fresh_database
from tests.amends.harness.program import amends
from tests.example.app.sagas.test_accounts import opening
from tests.example.app.sagas.test_group_trips import ANN
from tests.example.server import Server, order, problem
from workflows.amends.ids import RESERVED

UNREACHABLE = [*sorted(RESERVED), ".", ".."]
REACHABLE = ["definitions.", "...", "-", ":", "bulk-1", "Definitions", "x" * 128]


@pytest.fixture(scope="module")
def server(postgres_18: EmbeddedPostgres) -> Iterator[Server]:
    with Server(fresh_database(postgres_18)) as server:
        yield server.start()


@pytest.mark.parametrize("key", [*UNREACHABLE, "a/b", "a/events", "a%2Fevents", "a b"])
def test_a_key_that_would_be_no_workflow_is_refused(server: Server, key: str) -> None:
    id = f"o-{uuid4().hex[:8]}"
    said = problem(server.post("/workflows/place-order", order(id), Idempotency_Key=key), 422, "invalid")
    assert said["errors"][0]["field"] == "Idempotency-Key"
    assert server.get("/workflows", reference=id)["workflows"] == []


@pytest.mark.parametrize("key", REACHABLE)
def test_every_other_key_is_a_workflow(server: Server, key: str) -> None:
    answer = server.post("/workflows/place-order", order(f"o-{uuid4().hex[:8]}"), Idempotency_Key=key)
    assert answer.status_code == 202, answer.text
    assert server.saga(key)["id"] == key
    assert server.get(f"/workflows/{key}/events")["events"]
    assert server.get(f"/streams/saga-{key}/state")["stream"] == f"saga-{key}"


@pytest.mark.parametrize("key", UNREACHABLE)
def test_a_key_that_becomes_no_id_may_be_anything(server: Server, key: str) -> None:
    id = f"a-{uuid4().hex[:8]}"
    assert server.post("/accounts", opening(id), Idempotency_Key=key).status_code in (201, 409)


@pytest.mark.parametrize("id", UNREACHABLE)
def test_the_command_line_refuses_it_too(server: Server, id: str) -> None:
    start = ("workflows", "start", "transfer-money", json.dumps(TRANSFER))
    said = amends(*start, "--id", id, environment=server.environment)
    assert said.returncode == 1
    assert f"id: cannot be {id}" in said.stderr


@pytest.mark.parametrize("id", [".", ".."])
def test_accounts_and_orders_have_names_that_a_path_can_hold(server: Server, id: str) -> None:
    said = problem(server.post("/accounts", opening(id)), 422, "invalid")
    assert said["errors"][0]["field"] == "account_id"
    said = problem(server.post("/workflows/place-order", order(id)), 422, "invalid")
    assert said["errors"][0]["field"] == "order_id"


@pytest.mark.parametrize("id", ["x" * 127, ":.-_"])
def test_children_are_reached_by_the_ids_that_they_are_given(server: Server, id: str) -> None:
    name = f"g-{uuid4().hex[:8]}"
    for account in ("a", "b"):
        server.post("/accounts", opening(f"{name}-{account}"))
    body = {"group_id": name, "members": [ANN], "price": 1, "currency": "EUR"}
    body |= {"from_account": f"{name}-a", "to_account": f"{name}-b"}
    assert server.post("/workflows/book-group-trip", body, Idempotency_Key=id).status_code == 202
    server.saga(id)
    children = server.get("/workflows", parent=id)["workflows"]
    assert children
    for child in children:
        assert server.get(f"/workflows/{child['id']}")["parent"] == id
        assert server.get(f"/workflows/{child['id']}/events")["events"]
