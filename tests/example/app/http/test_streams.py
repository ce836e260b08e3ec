"""Time travel and undo over HTTP and at the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest

from app.amends.postgres.embedded.server import EmbeddedPostgres
from tests.amends.harness.databases import fresh_database
from tests.example.app.sagas.test_accounts import opening
from tests.example.server import Server, http, problem


@pytest.fixture(scope="module")
def server(postgres_18: EmbeddedPostgres) -> Iterator[Server]:
    with Server(fresh_database(postgres_18)) as server:
        yield server.start()


@pytest.fixture
def stream(server: Server) -> str:
    """An account's stream with four versions; it holds 100, 101, 111, 211."""
    id = f"a-{uuid4().hex[:10]}"
    server.post("/accounts", opening(id))
    for amount in (1, 10, 100):
        server.post(f"/accounts/{id}/deposit", {"amount": amount})
    return f"account-{id}"


def state(server: Server, stream: str, **point: Any) -> httpx.Response:
    return http.get(f"{server.base}/streams/{stream}/state", params=point)


def turn(server: Server, stream: str, turn: str, version: Any, **headers: str) -> httpx.Response:
    if version is not None:
        headers["If_Match"] = str(version)
    return server.post(f"/streams/{stream}/{turn}", {"reason": "a mistake"}, X_Actor="bob", **headers)


def test_the_state_at_a_version_a_position_and_an_instant(server: Server, stream: str) -> None:
    events = server.get(f"/streams/{stream}")["events"]
    balances = [100, 101, 111, 211]
    for event, balance in zip(events, balances, strict=True):
        for point in (
            {"version": event["version"]},
            {"position": event["position"]},
            {"at": event["recorded_at"]},
        ):
            answer = state(server, stream, **point)
            assert answer.status_code == 200, answer.text
            found = answer.json()
            assert (found["version"], found["state"]["balance"]) == (event["version"], balance)
            assert found["recorded_at"] == event["recorded_at"]
            assert answer.headers["etag"] == f'"{event["version"]}"'
            assert state(server, stream, position=found["position"]).json() == found
    assert state(server, stream).json()["state"]["balance"] == 211


def test_before_the_first_event_there_is_no_state(server: Server, stream: str) -> None:
    problem(state(server, "account-nobody"), 404, "not-found")
    problem(state(server, stream, at="2000-01-01T00:00:00Z"), 404, "not-found")
    said = problem(state(server, stream, version=5), 404, "not-found")
    assert "It is at version 4" in said["detail"]


def test_a_stream_of_no_aggregate_says_which_there_are(server: Server) -> None:
    said = problem(state(server, "nothing-1"), 404, "not-found")
    assert "account-…" in said["detail"]
    assert "order-…" in said["detail"]


@pytest.mark.parametrize(
    ("point", "field"),
    [
        ({"version": 0}, "version"),
        ({"version": "x"}, "version"),
        ({"at": "yesterday"}, "at"),
        ({"at": "2026"}, "at"),
        ({"at": "1767225600"}, "at"),
        ({"at": "2026-01-01T00:00:00"}, "at"),
        ({"position": "nonsense"}, "position"),
        ({"version": 1, "at": "2026-01-01T00:00:00Z"}, "at"),
    ],
)
def test_a_wrong_point_is_named(server: Server, stream: str, point: Any, field: str) -> None:
    said = problem(state(server, stream, **point), 422, "invalid")
    assert said["errors"][0]["field"] == field


def test_the_difference_between_two_points(server: Server, stream: str) -> None:
    found = server.get(f"/streams/{stream}/difference", from_version=2, to_version=4)
    assert (found["from"]["version"], found["to"]["version"]) == (2, 4)
    assert found["changes"] == [{"path": "/balance", "before": 101, "after": 211}]
    since_the_beginning = server.get(f"/streams/{stream}/difference")
    assert since_the_beginning["from"] is None
    assert since_the_beginning["to"]["version"] == 4


def test_sagas_have_states_too(server: Server) -> None:
    id = f"o-{uuid4().hex[:8]}"
    server.place_order(id)
    server.saga(id)
    assert state(server, f"order-{id}", version=1).json()["state"]["status"] == "placed"
    assert state(server, f"order-{id}").json()["state"]["status"] == "confirmed"
    assert len(state(server, f"saga-{id}", version=3).json()["state"]["steps"]) == 2


def test_the_last_decision_is_undone_and_redone(server: Server, stream: str) -> None:
    undone = turn(server, stream, "undo", '"4"')
    assert undone.status_code == 200
    assert undone.headers["etag"] == '"5"'
    assert (undone.json()["version"], undone.json()["state"]["balance"]) == (5, 111)
    redone = turn(server, stream, "redo", 5)
    assert redone.json()["state"]["balance"] == 211
    events = server.get(f"/streams/{stream}")["events"]
    assert [event["type"] for event in events[3:]] == ["money-deposited", "deposit-reversed", "money-deposited"]
    assert events[4]["metadata"]["actor"] == "bob"
    assert events[4]["metadata"]["reason"] == "a mistake"


def test_what_cannot_be_undone_says_why(server: Server, stream: str) -> None:
    said = problem(turn(server, stream, "redo", 4), 409, "conflict-redo")
    assert "nothing was undone" in said["detail"]
    for version in (4, 5, 6):
        assert turn(server, stream, "undo", version).status_code == 200
    said = problem(turn(server, stream, "undo", 7), 409, "conflict-undo")
    assert "account-opened has no inverse" in said["detail"]
    id = f"o-{uuid4().hex[:8]}"
    server.place_order(id)
    server.saga(id)
    said = problem(turn(server, f"order-{id}", "undo", "*"), 409, "conflict-undo")
    assert "order declares no inverses" in said["detail"]


def test_a_stream_that_has_moved_on_is_a_failed_precondition(server: Server, stream: str) -> None:
    said = problem(turn(server, stream, "undo", '"3"'), 412, "stale")
    assert (said["expected"], said["actual"]) == (3, 4)
    problem(turn(server, stream, "undo", None), 428, "if-match-missing")
    said = problem(turn(server, stream, "undo", "abc"), 422, "invalid")
    assert said["errors"][0]["field"] == "If-Match"
    problem(turn(server, "account-nobody", "undo", "*"), 404, "not-found")
    said = problem(server.post(f"/streams/{stream}/undo", {"reason": ""}, If_Match="*"), 422, "invalid")
    assert said["errors"][0]["field"] == "reason"
    assert state(server, stream).json()["version"] == 4


def test_a_repeated_undo_acts_once(server: Server, stream: str) -> None:
    answers = [turn(server, stream, "undo", '"4"', Idempotency_Key=f"u-{stream}") for _ in range(3)]
    assert {answer.status_code for answer in answers} == {200}
    assert all(answer.json() == answers[0].json() for answer in answers)
    assert state(server, stream).json()["version"] == 5


def test_an_event_of_newer_code_is_a_clear_error(server: Server, stream: str) -> None:
    with psycopg.connect(server.environment["DATABASE_URL"], autocommit=True) as sql:
        sql.execute(
            "insert into amends.events (id, stream, version, type, schema_version, data, metadata)"
            " values (gen_random_uuid(), %s, 5, 'money-deposited', 9, '{\"cents\": 5}', '{}')",
            (stream,),
        )
    said = problem(state(server, stream), 501, "unreadable-event")
    assert "money-deposited version 9" in said["detail"]
    problem(server.post(f"/accounts/{stream.removeprefix('account-')}/deposit", {"amount": 1}), 501, "unreadable-event")
    assert state(server, stream, version=4).json()["state"]["balance"] == 211
    assert len(server.get(f"/streams/{stream}")["events"]) == 5, "it is shown as it is stored"


def test_the_command_line_travels_in_time(server: Server, stream: str) -> None:
    found = json.loads(server.command("state", stream, "--version", "2", "--json"))
    assert found == state(server, stream, version=2).json()
    at = found["recorded_at"]
    assert json.loads(server.command("state", stream, "--at", at, "--json")) == found
    assert json.loads(server.command("state", stream, "--position", found["position"], "--json")) == found
    assert server.command("difference", stream, "--from-version", "2") == "/balance: 101 -> 211\n"
    assert "at version 4" in server.command("state", stream)
    shown = server.command("stream", stream)
    assert "money-deposited" in shown
    assert "Ann Example" not in shown
