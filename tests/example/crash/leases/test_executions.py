"""Who ran a saga, and why another server went on with it, is shown over HTTP and on the command line."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from sqlalchemy import URL

from tests.example.server import Server, wait_for


def executions(saga: Any) -> list[tuple[str, str | None, str | None]]:
    """Who ran it, why they began, and why they left it; that one begins after the other is looked at as well."""
    found = saga["executions"]
    for before, after in pairwise(found):
        assert before["from"] <= before["until"] <= after["from"]
    return [(each["executor"], each["began_by"], each["ended_by"]) for each in found]


def under_way(server: Server, id: str) -> str:
    """Who runs an order whose stock is being held, which takes three seconds."""
    server.place_order(id, sku="SLOW-boat")
    wait_for(lambda: server.get(f"/workflows/{id}")["steps"], "it is open, and its stock is being held")
    executor: str = server.get("/healthz")["executor"]
    assert executions(server.get(f"/workflows/{id}")) == [(executor, "start", None)]
    return executor


def test_whoever_goes_on_with_a_saga_is_shown_with_why(database_18: URL) -> None:
    with Server(database_18) as other:
        heir = other.start().get("/healthz")["executor"]
        with Server(database_18, provider_url=f"{other.base}/sandbox") as first:
            killed = under_way(first.start(), "killed")
            pid = first.pid
            first.kill()
            saga = other.saga_when_back("killed")
            assert executions(saga) == [(killed, "start", "executor-gone"), (heir, "takeover", "completed")]
            assert saga["executions"][0]["pid"] == pid
            assert saga["executions"][0]["machine"] == saga["executions"][1]["machine"]
            stopped = under_way(first.start(), "stopped")
            assert first.stop() == 0
            saga = other.saga_when_back("stopped")
            assert executions(saga) == [(stopped, "start", "handed-over"), (heir, "handover", "completed")]
        shown = other.command("workflows", "show", "killed").splitlines()
        assert [line.split(" ")[:2] for line in shown if line.startswith("on ")] == [["on", killed], ["on", heir]]
        assert shown[-2].endswith("its process was gone")
        as_json = json.loads(other.command("workflows", "show", "killed", "--json"))
        assert as_json["executions"] == other.get("/workflows/killed")["executions"]


def test_a_saga_that_waited_says_so(database_18: URL) -> None:
    with Server(database_18, approval_limit=10) as server:
        executor = server.start().get("/healthz")["executor"]
        for account in ("a", "b"):
            opened = {"account_id": account, "owner": "Ann", "currency": "EUR", "opening_balance": 100}
            assert server.post("/accounts", opened).status_code == 201
        transfer = {"transfer_id": "t-1", "from_account": "a", "to_account": "b", "amount": 50, "currency": "EUR"}
        server.post("/workflows/transfer-money", transfer, Idempotency_Key="t-1")
        waits = server.saga("t-1")
        assert waits["status"] == "waiting"
        assert executions(waits) == [(executor, "start", "waiting")]
        server.post("/workflows/t-1/signals/approval", {"approved": True})
        wait_for(lambda: server.get("/workflows/t-1")["status"] == "completed", "it goes on")
        done = server.get("/workflows/t-1")
        assert executions(done) == [(executor, "start", "waiting"), (executor, "wake", "completed")]
        shown = server.command("workflows", "show", "t-1").splitlines()
        assert [line for line in shown if line.startswith("on ")] == [], "nobody else went on with it"
