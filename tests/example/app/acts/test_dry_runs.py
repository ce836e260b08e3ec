"""A dry run of an act on a saga: over HTTP and on the command line, refused as the act is, and nothing is done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import URL

from app.amends.postgres.embedded.server import EmbeddedPostgres
from tests.amends.harness.databases import fresh_database
from tests.amends.harness.program import amends
from tests.example.server import Server, http, problem, wait_for

POSTCODE = "00000"


@pytest.fixture(scope="module")
def url(postgres_18: EmbeddedPostgres) -> URL:
    return fresh_database(postgres_18)


@pytest.fixture(scope="module")
def server(url: URL) -> Iterator[Server]:
    """An order that cannot be refunded, one that was completed, and a transfer that waits for its approval."""
    with Server(url) as server:
        server.start()
        server.place_order("stuck", token="tok_refund_fails", postcode=POSTCODE)
        server.place_order("done")
        for account in ("a", "b"):
            opened = {"account_id": account, "owner": "ann", "currency": "EUR", "opening_balance": 900_000}
            server.post("/accounts", opened)
        large = {"transfer_id": "t-1", "from_account": "a", "to_account": "b", "amount": 500_000, "currency": "EUR"}
        server.post("/workflows/transfer-money", large, Idempotency_Key="waits")
        for id, status in {"stuck": "stuck", "done": "completed", "waits": "waiting"}.items():
            wait_for(partial(is_in, server, id, status), f"{id} is {status}", 60)
        yield server


def is_in(server: Server, id: str, status: str) -> bool:
    return bool(server.saga(id)["status"] == status)


def tried(server: Server, id: str, act: str, **more: Any) -> Any:
    """What a dry run answers; nothing was written by it."""
    before = server.get(f"/workflows/{id}"), server.get(f"/workflows/{id}/events", limit=1000)
    answer = http.post(f"{server.base}/workflows/{id}/{act}?dry_run=true", json={"reason": "to see"} | more)
    assert answer.status_code == 200, answer.text
    assert (server.get(f"/workflows/{id}"), server.get(f"/workflows/{id}/events", limit=1000)) == before
    assert POSTCODE not in answer.text
    return answer.json()


def test_a_retry_of_a_compensation_shows_the_whole_way_back(server: Server) -> None:
    said = tried(server, "stuck", "retry")
    assert [(each["compensation"], each["step"]) for each in said["next"]] == [
        ("refund_card", "charge_card"),
        ("release_stock", "hold_stock"),
        ("cancel_order", "open_order"),
    ]
    assert [each["calls"] for each in said["next"]] == [
        [{"gateway": "payments", "operation": "refund", "provider": "payments"}],
        [{"gateway": "stock", "operation": "release", "provider": "stock"}],
        [],
    ]
    assert (said["leads_to"], said["until"]) == ("compensated", "It is compensated then, if each of these succeeds.")
    skipped = tried(server, "stuck", "skip")
    assert [each["compensation"] for each in skipped["next"]] == ["release_stock", "cancel_order"]
    assert tried(server, "stuck", "resolve")["next"] == skipped["next"]
    assert tried(server, "stuck", "cancel")["leads_to"] == "stays"


def test_a_cancel_of_one_that_waits_shows_what_is_compensated(server: Server) -> None:
    said = tried(server, "waits", "cancel")
    assert said["leads_to"] == "compensated"
    assert said["next"]
    assert {each["kind"] for each in said["next"]} == {"compensation"}


@pytest.mark.parametrize(
    ("id", "act"),
    [
        *(("none", "retry"), ("none", "cancel"), ("done", "skip"), ("done", "cancel"), ("waits", "resolve")),
        *(("stuck", "compensate"), ("none", "resume"), ("waits", "resume")),
    ],
)
def test_it_is_refused_as_the_act_is(server: Server, url: URL, id: str, act: str) -> None:
    body = {"reason": "to see"}
    tried_out = http.post(f"{server.base}/workflows/{id}/{act}?dry_run=true", json=body)
    done = http.post(f"{server.base}/workflows/{id}/{act}", json=body)
    assert tried_out.status_code in (404, 409)
    assert (tried_out.status_code, tried_out.json()) == (done.status_code, done.json())
    typed = amends("workflows", act, id, "--dry-run", on=url)
    assert typed.returncode == 1
    assert done.json()["detail"] in " ".join(typed.stderr.split())


def test_what_is_sent_is_looked_at_as_closely_as_for_the_act(server: Server) -> None:
    path = f"{server.base}/workflows/stuck/retry"
    assert problem(http.post(f"{path}?dry_run=perhaps", json={"reason": "x"}), 422, "invalid")["errors"]
    problem(http.post(f"{path}?dry_run=true", json={}), 422, "invalid")
    problem(http.post(f"{path}?dry_run=true", json={"reason": "x", "because": 1}), 422, "invalid")


def test_the_command_line_says_the_same(server: Server, url: URL) -> None:
    said = amends("workflows", "retry", "stuck", "--dry-run", "--json", on=url)
    assert json.loads(said.stdout) == tried(server, "stuck", "retry")
    lines = amends("workflows", "retry", "stuck", "--dry-run", on=url).stdout.splitlines()
    assert lines == [
        "stuck: retry would lead to this; nothing was done.",
        "  1. refund_card compensates charge_card, which calls payments.refund",
        "  2. release_stock compensates hold_stock, which calls stock.release",
        "  3. cancel_order compensates open_order",
        "  It is compensated then, if each of these succeeds.",
    ]
    without = amends("workflows", "retry", "stuck", on=url)
    assert without.returncode == 2
    assert "Missing option '--reason'" in without.stderr


def test_only_operators_may_try_out_what_only_they_may_do(server: Server, url: URL) -> None:
    with Server(url, api_tokens="ann:secret-1,vic:secret-2:viewer") as guarded:
        guarded.start()
        path, body = f"{guarded.base}/workflows/stuck/retry?dry_run=true", {"reason": "to see"}
        viewer, operator = ({"Authorization": f"Bearer secret-{number}"} for number in (2, 1))
        assert http.post(path, json=body, headers=viewer).status_code == 403
        assert http.post(path, json=body, headers=operator).status_code == 200


def test_it_is_what_then_happens(server: Server) -> None:
    planned = [each["compensation"] for each in tried(server, "stuck", "retry")["next"]]
    server.post("/sandbox/payments/refunds", {"fail": False})
    server.post("/workflows/stuck/retry", {"reason": "refunds work again"})
    wait_for(lambda: server.saga("stuck")["status"] == "compensated", "it is compensated", 60)
    events = server.get("/workflows/stuck/events", limit=1000)["events"]
    acted = next(number for number, each in enumerate(events) if each["type"] == "operator-acted")
    done = [each["data"]["compensation"] for each in events[acted:] if each["type"] == "step-compensated"]
    assert done == planned
