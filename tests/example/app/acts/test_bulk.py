"""Acts on many sagas: tried out, begun, worked off, and steered, over HTTP and on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import URL

from app.amends.postgres.embedded.server import EmbeddedPostgres
from tests.amends.harness.databases import fresh_database
from tests.amends.harness.program import amends
from tests.example.server import Server, http, problem, wait_for

ORDERS = [f"o-{number}" for number in range(1, 7)]
STEP = {"step": "refund_card"}


@pytest.fixture(scope="module")
def url(postgres_18: EmbeddedPostgres) -> URL:
    return fresh_database(postgres_18)


@pytest.fixture(scope="module")
def server(url: URL) -> Iterator[Server]:
    """Six orders cannot be refunded."""
    with Server(url) as server:
        server.start()
        for id in ORDERS:
            server.place_order(id, token="tok_refund_fails", postcode="00000")
        wait_for(lambda: counted(server, status="stuck") == len(ORDERS), "all of them are stuck", 90)
        yield server


def counted(server: Server, **filters: object) -> int:
    return int(server.get("/workflows", count="true", limit=1, **filters)["count"]["value"])


def bulk(server: Server, status: int = 202, headers: dict[str, str] | None = None, **body: Any) -> Any:
    """What a bulk act is answered."""
    whole = {"filter": STEP, "act": "retry", "reason": "refunds work again"} | body
    answer = http.post(f"{server.base}/workflows/bulk", json=whole, headers=headers or {})
    assert answer.status_code == status, answer.text
    return answer.json()


def ended(server: Server, id: str) -> Any:
    """A bulk act once it has ended."""
    wait_for(lambda: server.get(f"/workflows/bulk/{id}")["status"] != "running", "the bulk act has ended", 60)
    return server.get(f"/workflows/bulk/{id}")


def test_a_dry_run_says_how_many_which_first_and_what_it_leads_to(server: Server, url: URL) -> None:
    said = bulk(server, 200, dry_run=True)
    assert (said["count"], said["tried"]) == (6, 6)
    assert sorted(each["id"] for each in said["first"]) == ORDERS
    (outcome,) = said["outcomes"]
    assert (outcome["count"], outcome["leads_to"]) == (6, "compensated")
    assert [each["compensation"] for each in outcome["next"]] == ["refund_card", "release_stock", "cancel_order"]
    assert server.get("/workflows/bulk") == {"bulk": [], "next": None}
    typed = amends("workflows", "bulk", "run", "retry", "--step", "refund_card", "--dry-run", "--json", on=url)
    assert json.loads(typed.stdout) == said
    lines = amends("workflows", "bulk", "run", "skip", "--step", "refund_card", "--dry-run", on=url).stdout.splitlines()
    assert lines[0] == "6 sagas match; nothing was done."
    assert lines[-1].startswith("  6 would be compensated: release_stock compensates hold_stock, which calls stock.rel")


@pytest.mark.parametrize(
    ("body", "field", "fix"),
    [
        ({"filter": {}}, "filter", "names nothing: give at least one of name, version, status"),
        ({"filter": {"limit": 5}}, "filter.limit", "not permitted"),
        ({"filter": {"step": "s", "cursor": "x"}}, "filter.cursor", "not permitted"),
        ({"filter": {"count": True}}, "filter.count", "not permitted"),
        ({"filter": {"cause": "refund"}}, "filter.cause", "must be the id of a cause"),
        ({"filter": {"status": "sad"}}, "filter.status", "must be one of queued"),
        ({"filter": {"name": "place-order"}, "act": "skip"}, "filter", "must name one cause or one step"),
        ({"filter": {"status": "stuck"}, "act": "resolve"}, "filter", "must name one cause or one step"),
        ({"filter": {"started_after": "yesterday"}}, "filter.started_after", "must be written as"),
        ({"act": "delete"}, "act", "'cancel', 'retry', 'skip', 'resolve' or 'signal'"),
        ({"act": "signal"}, "signal", "must be the name of the signal"),
        ({"act": "retry", "signal": "approval"}, "signal", 'goes with the act "signal" alone'),
        ({"act": "retry", "payload": 1}, "payload", 'goes with the act "signal" alone'),
        ({"act": "skip", "result": 1}, "result", 'goes with the act "resolve" alone'),
        ({"reason": ""}, "reason", "at least 1 character"),
        ({"expect": -1}, "expect", "greater than or equal to 0"),
        ({"expect": True}, "expect", "valid integer"),
        ({"dry_run": "yes"}, "dry_run", "valid boolean"),
        ({"filter": {"step": "\u0000"}}, "body", "U+0000"),
        ({"filter": {"step": "s" * 1001}}, "filter.step", "at most 1000 characters"),
        ({"act": "signal", "filter": {"name": "transfer-money"}, "signal": "hush", "payload": {}}, "signal", "takes"),
        (
            {"act": "signal", "filter": {"name": "transfer-money"}, "signal": "approval", "payload": {"approved": 5}},
            "payload.approved",
            "boolean",
        ),
    ],
)
@pytest.mark.parametrize("dry_run", [True, False])
def test_what_cannot_be_meant_is_refused_by_its_field(
    server: Server, body: dict[str, Any], field: str, fix: str, dry_run: bool
) -> None:
    whole = {"filter": STEP, "act": "retry", "reason": "x", "dry_run": dry_run} | body
    said = problem(http.post(f"{server.base}/workflows/bulk", json=whole), 422, "invalid")
    assert (said["errors"][0]["field"], fix in said["errors"][0]["problem"]) == (field, True), said


def test_more_than_expected_are_not_acted_on(server: Server, url: URL) -> None:
    for dry_run in (True, False):
        whole = {"filter": STEP, "act": "retry", "reason": "x", "expect": 5, "dry_run": dry_run}
        said = problem(http.post(f"{server.base}/workflows/bulk", json=whole), 409, "conflict-expectation")
        assert "6 sagas match by now, and 5 were expected" in said["detail"]
    typed = amends(
        *("workflows", "bulk", "run", "retry", "--step", "refund_card", "--expect", "5", "--reason", "x"), on=url
    )
    assert (typed.returncode, "6 sagas match by now" in typed.stderr) == (1, True)
    assert server.get("/workflows/bulk")["bulk"] == []


def test_what_matches_nothing_is_done_at_once(server: Server) -> None:
    begun = bulk(server, filter={"step": "nobody"})
    assert begun["total"] == 0
    assert server.get(f"/workflows/bulk/{begun['id']}")["status"] == "completed"


def test_a_retry_that_helps_nothing_is_done_and_each_saga_is_stuck_anew(server: Server) -> None:
    begun = bulk(server, headers={"Idempotency-Key": "first", "X-Actor": "ann"}, expect=6)
    assert begun == bulk(server, headers={"Idempotency-Key": "first", "X-Actor": "ann"}, expect=6)
    other = {"filter": STEP, "act": "skip", "reason": "x"}
    again = http.post(f"{server.base}/workflows/bulk", json=other, headers={"Idempotency-Key": "first"})
    problem(again, 409, "conflict-idempotency")
    done = ended(server, begun["id"])
    assert {name: done[name] for name in ("act", "status", "total", "done", "failed", "moved_on", "left")} == {
        "act": "retry",
        "status": "completed",
        "total": 6,
        "done": 6,
        "failed": 0,
        "moved_on": 0,
        "left": 0,
    }
    assert (done["causes"], done["filter"], done["actor"]) == ([], STEP, "ann")
    for id in ORDERS:
        acted = [
            each
            for each in server.get(f"/workflows/{id}/events", limit=1000)["events"]
            if each["type"] == "operator-acted"
        ]
        assert len(acted) == 1
        assert (acted[0]["metadata"]["actor"], acted[0]["data"]["reason"]) == ("ann", "refunds work again")
        assert acted[0]["metadata"]["causation_id"] == f"bulk {begun['id']}"
    wait_for(lambda: counted(server, status="stuck") == len(ORDERS), "all of them are stuck again", 90)


def test_one_that_is_paused_or_cancelled_says_so(server: Server, url: URL) -> None:
    id = server.get("/workflows/bulk")["bulk"][0]["id"]
    for action in ("pause", "resume", "cancel"):
        path = f"{server.base}/workflows/bulk/{id}/{action}"
        said = problem(http.post(path, json={"reason": "x"}), 409, "conflict-status")
        assert said["detail"] == f"Bulk act {id} is completed: there is nothing to {action}."
        problem(http.post(path, json={}), 422, "invalid")
        problem(http.post(f"{server.base}/workflows/bulk/none/{action}", json={"reason": "x"}), 404, "not-found")
        typed = amends("workflows", "bulk", action, id, "--reason", "x", on=url)
        assert (typed.returncode, "is completed" in typed.stderr) == (1, True)
    problem(http.get(f"{server.base}/workflows/bulk/none"), 404, "not-found")
    problem(http.get(f"{server.base}/workflows/bulk?cursor=none"), 422, "invalid")


def test_the_command_line_runs_shows_and_follows_one(server: Server, url: URL) -> None:
    server.post("/sandbox/payments/refunds", {"fail": False})
    run = ("workflows", "bulk", "run", "retry", "--step", "refund_card", "--expect", "6", "--reason", "open again")
    said = amends(*run, "--watch", "--json", on=url)
    shown = json.loads(said.stdout)
    assert (shown["status"], shown["total"], shown["done"]) == ("completed", 6, 6)
    assert json.loads(amends("workflows", "bulk", "show", shown["id"], "--json", on=url).stdout) == shown
    assert server.get(f"/workflows/bulk/{shown['id']}") == shown
    lines = amends("workflows", "bulk", "show", shown["id"], on=url).stdout.splitlines()
    assert lines[0] == f"{shown['id']}: completed, retry of step=refund_card: 6 of 6 done"
    assert "begin by cli:" in lines[-1]
    listed = amends("workflows", "bulk", "list", on=url).stdout.splitlines()
    assert listed[0].startswith(shown["id"])
    first = server.get("/workflows/bulk", limit=1)
    assert first["bulk"][0]["id"] == shown["id"]
    assert server.get("/workflows/bulk", limit=1, cursor=first["next"])["bulk"][0]["id"] != shown["id"]
    wait_for(lambda: counted(server, status="compensated") == len(ORDERS), "all of them are compensated", 90)


def test_viewers_see_them_and_operators_act(server: Server, url: URL) -> None:
    with Server(url, api_tokens="ann:secret-1,vic:secret-2:viewer,sue:secret-3:starter") as guarded:
        guarded.start()
        body = {"filter": {"step": "nobody"}, "act": "retry", "reason": "x", "dry_run": True}
        for number, status in ((1, 200), (2, 403), (3, 403)):
            headers = {"Authorization": f"Bearer secret-{number}"}
            assert http.get(f"{guarded.base}/workflows/bulk", headers=headers).status_code == 200
            answer = http.post(f"{guarded.base}/workflows/bulk", json=body, headers=headers)
            assert answer.status_code == status
