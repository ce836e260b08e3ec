"""A request that will not do is refused with a problem that names what is wrong, and starts nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from app.amends.postgres.embedded.server import EmbeddedPostgres
from tests.amends.harness.databases import fresh_database
from tests.example.server import Server, http, order, problem


@pytest.fixture(scope="module")
def server(postgres_18: EmbeddedPostgres) -> Iterator[Server]:
    with Server(fresh_database(postgres_18)) as server:
        yield server.start()


@pytest.fixture
def id() -> str:
    return f"o-{uuid4().hex[:10]}"


KEYED = {"Idempotency-Key": "never"}


def test_an_unknown_workflow_lists_the_known_ones(server: Server) -> None:
    said = problem(server.post("/workflows/place-odrer", {}), 404, "not-found")
    assert "place-order" in said["detail"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"order_id": 5}, "order_id"),
        ({"lines": []}, "lines"),
        ({"lines": [{"sku": "a", "quantity": 1, "unit_price": -1}]}, "lines.0.unit_price"),
        ({"lines": [{"sku": "a", "quantity": 0, "unit_price": 1}]}, "lines.0.quantity"),
        ({"surprise": True}, "surprise"),
        ({"currency": "euro"}, "currency"),
        ({"postcode": None}, "postcode"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_started(server: Server, id: str, change: Any, field: str) -> None:
    answer = server.post("/workflows/place-order", order(id) | change, Idempotency_Key=id)
    said = problem(answer, 422, "invalid")
    assert [error["field"] for error in said["errors"]] == [field]
    assert http.get(f"{server.base}/workflows/{id}").status_code == 404


def test_every_wrong_field_is_named(server: Server, id: str) -> None:
    said = problem(server.post("/workflows/place-order", {"order_id": 5, "more": 1}), 422, "invalid")
    assert {"order_id", "more", "lines", "postcode"} <= {error["field"] for error in said["errors"]}


UNKNOWN = b"{%s}" % b",".join(b'"a%d":1' % number for number in range(90_000))


LINES = b'{"lines":[%s]}' % b",".join([b"1"] * 500_000)


@pytest.mark.parametrize(
    ("path", "body", "count"),
    [
        ("/workflows/place-order", LINES, 500_000),
        ("/workflows/place-order", UNKNOWN, 90_000),
        ("/accounts/a/deposit", UNKNOWN, 1),
        ("/workflows/x/cancel", UNKNOWN, 1),
        ("/projections/order_board/promote", UNKNOWN, 1),
        ("/sandbox/stock/hold", LINES, 1),
        ("/sandbox/payments/charge", UNKNOWN, 1),
    ],
)
def test_of_very_many_wrong_fields_the_first_are_named(server: Server, path: str, body: bytes, count: int) -> None:
    answer = http.post(server.base + path, content=body, headers={"Content-Type": "application/json", **KEYED})
    said = problem(answer, 422, "invalid")
    assert len(said["errors"]) <= 100
    assert len(said["errors"]) + said.get("not_shown", 0) >= count
    assert len(answer.content) < 20_000


JSON = {"Content-Type": "application/json"}


def test_a_body_that_is_not_json_is_refused(server: Server) -> None:
    answer = http.post(f"{server.base}/workflows/place-order", content=b"{not json", headers=JSON)
    problem(answer, 400, "malformed-json")


def test_a_body_with_a_character_that_cannot_be_stored_is_refused(server: Server, id: str) -> None:
    said = problem(server.post("/workflows/place-order", order(id, customer_id="a\x00b")), 422, "invalid")
    assert "U+0000" in said["detail"]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_one_mebibyte_is_refused(server: Server, id: str, chunked: bool) -> None:
    body = b'{"order_id": "' + b"x" * 1024 * 1024 + b'"}'
    content = iter([body[:500_000], body[500_000:]]) if chunked else body
    problem(http.post(f"{server.base}/workflows/place-order", content=content), 413, "too-large")


@pytest.mark.parametrize("key", ["", "a b", "x" * 129, "ä"])
def test_a_bad_idempotency_key_is_named(server: Server, id: str, key: str) -> None:
    answer = http.post(
        f"{server.base}/workflows/place-order", json=order(id), headers=[(b"Idempotency-Key", key.encode())]
    )
    assert problem(answer, 422, "invalid")["errors"][0]["field"] == "Idempotency-Key"


def test_another_websites_page_may_not_act(server: Server, id: str) -> None:
    problem(server.post("/workflows/place-order", order(id), Origin="https://evil.example"), 403, "foreign-origin")


def test_an_unknown_workflow_id_is_not_found(server: Server) -> None:
    for path in ("/workflows/nobody", "/workflows/nobody/events"):
        problem(http.get(server.base + path), 404, "not-found")


def test_an_unknown_path_and_method_are_problems(server: Server) -> None:
    problem(http.get(f"{server.base}/nowhere"), 404, "not-found")
    problem(http.delete(f"{server.base}/workflows"), 405, "method-not-allowed")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "cursor=nonsense", "status=done", "state=stuck", "stuck"]
)
def test_a_bad_page_is_refused(server: Server, query: str) -> None:
    said = problem(http.get(f"{server.base}/workflows?{query}"), 422, "invalid")
    assert said["errors"][0]["field"] == query.split("=")[0]


@pytest.mark.parametrize("after", ["nonsense", "-1", "1-2", "99999999"])
def test_a_bad_place_in_the_feed_is_named(server: Server, after: str) -> None:
    said = problem(http.get(f"{server.base}/events", params={"after": after}), 422, "invalid")
    assert said["errors"][0]["field"] == "after"
