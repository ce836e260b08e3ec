"""Accounts over HTTP: one decision, one commit, once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import httpx
import pytest

from app.amends.postgres.embedded.server import EmbeddedPostgres
from tests.amends.harness.databases import fresh_database
from tests.example.server import Server, http, problem


@pytest.fixture(scope="module")
def server(postgres_18: EmbeddedPostgres) -> Iterator[Server]:
    with Server(fresh_database(postgres_18)) as server:
        yield server.start()


@pytest.fixture
def id(server: Server) -> str:
    """An account that holds 100."""
    made = f"a-{uuid4().hex[:10]}"
    assert server.post("/accounts", opening(made)).status_code == 201
    return made


def opening(id: str, **changes: Any) -> dict[str, Any]:
    return {"account_id": id, "owner": "Ann Example", "currency": "EUR", "opening_balance": 100} | changes


def test_an_account_is_opened_paid_into_and_paid_out_of(server: Server) -> None:
    id = f"a-{uuid4().hex[:10]}"
    opened = server.post("/accounts", opening(id))
    assert opened.status_code == 201
    assert opened.headers["location"] == f"/accounts/{id}"
    whole = {"account_id": id, "owner": "Ann Example", "currency": "EUR", "balance": 100, "version": 1}
    assert opened.json() == whole | {"position": opened.json()["position"]}
    assert server.post(f"/accounts/{id}/deposit", {"amount": 50}).json()["balance"] == 150
    taken = server.post(f"/accounts/{id}/withdraw", {"amount": 120})
    assert (taken.status_code, taken.json()["balance"], taken.json()["version"]) == (200, 30, 3)
    answer = http.get(f"{server.base}/accounts/{id}")
    assert answer.json() == whole | {"balance": 30, "version": 3}
    assert answer.headers["etag"] == '"3"'
    told = server.get(f"/streams/account-{id}")["events"]
    assert [event["type"] for event in told] == ["account-opened", "money-deposited", "money-withdrawn"]


def test_an_account_is_not_opened_twice(server: Server, id: str) -> None:
    said = problem(server.post("/accounts", opening(id)), 409, "account-exists")
    assert said["account_id"] == id


def test_too_little_money_is_a_conflict_that_says_how_much_there_is(server: Server, id: str) -> None:
    said = problem(server.post(f"/accounts/{id}/withdraw", {"amount": 101}), 409, "not-enough-money")
    assert (said["balance"], said["wanted"]) == (100, 101)
    assert server.get(f"/accounts/{id}")["version"] == 1


@pytest.mark.parametrize("amount", [0, -5, 1.5, "5", None, True, 10**16])
def test_an_amount_that_is_no_positive_integer_is_named(server: Server, id: str, amount: Any) -> None:
    for command in ("deposit", "withdraw"):
        said = problem(server.post(f"/accounts/{id}/{command}", {"amount": amount}), 422, "invalid")
        assert [error["field"] for error in said["errors"]] == ["amount"]
    problem(server.post(f"/accounts/{id}/deposit", {"amount": 1, "more": 2}), 422, "invalid")
    assert server.get(f"/accounts/{id}")["version"] == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"currency": "euro"}, "currency"),
        ({"opening_balance": -1}, "opening_balance"),
        ({"opening_balance": "1"}, "opening_balance"),
        ({"owner": " "}, "owner"),
        ({"account_id": "a b"}, "account_id"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_wrong_field_of_an_opening_is_named(server: Server, change: Any, field: str) -> None:
    said = problem(server.post("/accounts", opening(f"a-{uuid4().hex[:8]}", **change)), 422, "invalid")
    assert [error["field"] for error in said["errors"]] == [field]


def test_an_unknown_account_is_not_found(server: Server) -> None:
    problem(http.get(f"{server.base}/accounts/nobody"), 404, "not-found")
    problem(server.post("/accounts/nobody/deposit", {"amount": 1}), 404, "not-found")
    problem(server.post("/accounts/nobody/withdraw", {"amount": 1}), 404, "not-found")


def test_the_same_key_acts_once_and_answers_the_same(server: Server, id: str) -> None:
    key = f"k-{id}"
    first = server.post(f"/accounts/{id}/withdraw", {"amount": 80}, Idempotency_Key=key)
    again = server.post(f"/accounts/{id}/withdraw", {"amount": 80}, Idempotency_Key=key)
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    assert server.get(f"/accounts/{id}")["balance"] == 20
    problem(server.post(f"/accounts/{id}/withdraw", {"amount": 5}, Idempotency_Key=key), 409, "conflict-idempotency")
    problem(server.post(f"/accounts/{id}/deposit", {"amount": 80}, Idempotency_Key=key), 409, "conflict-idempotency")
    opened = [server.post("/accounts", opening(f"{id}-b"), Idempotency_Key=f"{key}-o") for _ in range(2)]
    assert opened[0].json() == opened[1].json()
    assert {answer.status_code for answer in opened} == {201}


def test_the_same_key_many_times_at_once_acts_once(server: Server, id: str) -> None:
    def withdraw(_: int) -> httpx.Response:
        return server.post(f"/accounts/{id}/withdraw", {"amount": 60}, Idempotency_Key=f"m-{id}")

    with ThreadPoolExecutor(12) as clients:
        answers = list(clients.map(withdraw, range(24)))
    assert {answer.status_code for answer in answers} == {200}
    assert all(answer.json() == answers[0].json() for answer in answers)
    assert server.get(f"/accounts/{id}")["balance"] == 40


def test_many_at_once_are_all_counted(server: Server, id: str) -> None:
    with ThreadPoolExecutor(12) as clients:
        answers = list(clients.map(lambda _: server.post(f"/accounts/{id}/deposit", {"amount": 1}), range(60)))
    assert {answer.status_code for answer in answers} == {200}
    assert server.get(f"/accounts/{id}")["balance"] == 160


def test_every_event_says_what_it_goes_back_to(server: Server, id: str) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    server.post(
        f"/accounts/{id}/deposit",
        {"amount": 5},
        X_Actor="ann",
        X_Correlation_ID=f"story-{id}",
        traceparent=trace,
        Idempotency_Key=f"d-{id}",
    )
    (event,) = server.get("/events", correlation_id=f"story-{id}")["events"]
    metadata = event["metadata"]
    assert (metadata["actor"], metadata["traceparent"]) == ("ann", trace)
    assert metadata["causation_id"] == f"request d-{id}"
    server.post(f"/accounts/{id}/deposit", {"amount": 5})
    alone = server.get(f"/streams/account-{id}")["events"][-1]["metadata"]
    assert alone["correlation_id"]
    assert alone["causation_id"].startswith("request ")


def test_owners_are_masked_in_lists_and_shown_to_those_who_ask_for_the_account(server: Server, id: str) -> None:
    assert server.get(f"/accounts/{id}")["owner"] == "Ann Example"
    for path in (f"/streams/account-{id}", "/events"):
        answer = http.get(server.base + path, params={"limit": 1000})
        assert "Ann Example" not in answer.text
    assert server.get(f"/streams/account-{id}")["events"][0]["data"]["owner"] == "***"
