"""Cancelling on running servers, whatever the saga is doing, and taking up what was ended in DBOS's own tools."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo
from tests.amends.harness.databases import fresh_database
from tests.amends.harness.program import amends
from tests.example.app.sagas.test_transfers import balances, rests, transfer
from tests.example.crash.ledger import net_effects
from tests.example.server import ROOT, Server, problem, wait_for


@pytest.fixture(scope="module")
def url(postgres_18: EmbeddedPostgres) -> URL:
    return fresh_database(postgres_18)


@pytest.fixture(scope="module")
def server(url: URL) -> Iterator[Server]:
    with Server(url, approval_limit=100) as server:
        yield server.start()


@pytest.fixture
def id() -> str:
    return f"c-{uuid4().hex[:8]}"


def cancel(server: Server, id: str, **headers: str) -> httpx.Response:
    return server.post(f"/workflows/{id}/cancel", {"reason": "changed my mind"}, X_Actor="ann", **headers)


def net(url: URL, id: str) -> dict[str, int]:
    with psycopg.connect(conninfo(url)) as sql:
        return net_effects(sql, id)


def types(server: Server, id: str) -> list[str]:
    return [event["type"] for event in server.get(f"/workflows/{id}/events", limit=1000)["events"]]


def test_a_saga_is_cancelled_while_a_call_is_under_way(server: Server, url: URL, id: str) -> None:
    server.place_order(id, sku="SLOW-boat")
    wait_for(lambda: len(server.get(f"/workflows/{id}")["steps"]) == 1, "its order is open")
    answer = cancel(server, id)
    assert answer.status_code == 202
    saga = server.saga(id)
    assert (saga["status"], saga["reason"]) == ("compensated", "cancelled: changed my mind")
    assert net(url, id) == {}
    steps = {step["name"]: step["status"] for step in saga["steps"]}
    assert steps == {"open_order": "compensated", "hold_stock": "compensated"}, "the call under way settled first"
    assert saga["error"]["name"] == "cancelled"


def test_a_saga_that_retries_is_cancelled_without_waiting_for_the_next_attempt(
    server: Server, url: URL, id: str
) -> None:
    server.place_order(id, token="tok_late_charge")
    wait_for(lambda: "step-retrying" in types(server, id), "it retries")
    cancel(server, id)
    assert server.saga(id)["reason"] == "cancelled: changed my mind"
    wait_for(lambda: net(url, id) == {}, "the late charge never lands")


def test_a_waiting_transfer_is_cancelled(server: Server) -> None:
    id = transfer(server, 500)
    server.saga(id)
    assert cancel(server, id).status_code == 202
    assert rests(server, id, "compensated")["reason"] == "cancelled: changed my mind"
    assert balances(server, id) == [1000, 0]


def test_another_server_is_told(server: Server, url: URL, id: str) -> None:
    with Server(url) as other:
        other.start()
        server.place_order(id, token="tok_late_charge")
        wait_for(lambda: "step-retrying" in types(server, id), "it retries")
        assert cancel(other, id).status_code == 202
        assert other.saga(id)["reason"] == "cancelled: changed my mind"


def test_after_the_pivot_it_is_too_late(server: Server, id: str) -> None:
    server.place_order(id)
    server.saga(id)
    problem(cancel(server, id), 409, "conflict-status")
    problem(cancel(server, "nobody"), 404, "not-found")
    said = problem(server.post(f"/workflows/{id}/cancel", {"reason": ""}), 422, "invalid")
    assert said["errors"][0]["field"] == "reason"


def test_the_same_request_to_cancel_is_answered_the_same(server: Server) -> None:
    id = transfer(server, 500)
    server.saga(id)
    answers = [cancel(server, id, Idempotency_Key=f"k-{id}") for _ in range(3)]
    assert {answer.status_code for answer in answers} == {202}
    assert all(answer.json() == answers[0].json() for answer in answers)
    rests(server, id, "compensated")
    assert types(server, id).count("cancel-requested") == 1


def test_a_crash_in_the_middle_of_a_charge_and_a_cancel_leave_nothing(postgres_18: EmbeddedPostgres, id: str) -> None:
    url = fresh_database(postgres_18)
    with Server(url) as server:
        server.start()
        server.place_order(id, token="tok_timeout_after_charge")
        wait_for(lambda: net(url, id).get("charge") == 1, "the charge was made, and nobody was told")
        server.kill()
        assert amends("workflows", "cancel", id, "--reason", "while it was down", on=url).returncode == 0
        server.start()
        saga: Any = server.saga(id)
        assert saga["reason"] == "cancelled: while it was down"
        assert net(url, id) == {}
        charge = saga["steps"][-1]
        assert (charge["name"], charge["status"], charge["started_at"]) == ("charge_card", "compensated", None)
        assert charge["compensation"] == {"name": "refund_card", "status": "completed", "attempts": 1, "error": None}


@pytest.mark.parametrize(("how", "status"), [("compensate", "compensated"), ("resume", "completed")])
def test_what_was_cancelled_in_dbos_is_taken_up_by_a_person(
    server: Server, url: URL, id: str, how: str, status: str
) -> None:
    server.place_order(id, sku="SLOW-boat", token="tok_timeout_after_charge")  # so that DBOS's command comes in time
    wait_for(lambda: len(server.get(f"/workflows/{id}")["steps"]) == 1, "its order is open")
    dbos = [str(ROOT / ".venv" / "bin" / "dbos"), "workflow", "cancel", id, "-s", conninfo(url)]
    done = subprocess.run(dbos, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    saga: Any = rests(server, id, "abandoned")
    assert "CANCELLED" in saga["reason"]
    answer = server.post(f"/workflows/{id}/{how}", {"reason": "it was me"}, X_Actor="ann")
    assert answer.status_code == 202, answer.text
    assert rests(server, id, "completed", "compensated")["status"] == status
    assert net(url, id) == ({} if how == "compensate" else {"hold": 1, "charge": 1, "book": 1})
    problem(server.post(f"/workflows/{id}/{how}", {"reason": "again"}), 409, "conflict-status")
