"""A running server shows nothing that is marked by anybody who shares its database, and nothing that nobody knows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from app.amends.postgres.embedded.server import EmbeddedPostgres
from tests.amends.harness.databases import fresh_database
from tests.example.server import Server, http, wait_for

VALUES = {"name": "Ann Private", "room": "hall", "home": {"street": "Main St"}}


@pytest.fixture(scope="module")
def server(postgres_18: EmbeddedPostgres) -> Iterator[Server]:
    with Server(fresh_database(postgres_18)) as server:
        yield server.start()


@pytest.fixture
def sql(server: Server) -> Iterator[psycopg.Connection]:
    with psycopg.connect(server.environment["DATABASE_URL"], autocommit=True) as connection:
        yield connection


@pytest.fixture
def id() -> str:
    return f"m-{uuid4().hex[:8]}"


def store(sql: psycopg.Connection, stream: str, type: str, data: Any, version: int = 1) -> None:
    """Store an event as a server with other code does."""
    event = {"id": str(uuid4()), "stream": stream, "type": type, "schema_version": version, "data": data}
    sql.execute("select amends.insert_events(%s::jsonb)", (json.dumps([event | {"metadata": {}}]),))


def note(sql: psycopg.Connection, name: str, fields: dict[str, Any], version: int = 1, *before: str) -> None:
    """Note a shape as a server with other code does."""
    shape = {"type": "object", "properties": fields}
    sql.execute(
        "insert into amends.shapes (kind, name, version, digest, shape, before) values ('event', %s, %s, %s, %s, %s)",
        (name, str(version), uuid4().hex, json.dumps(shape), list(before)),
    )


def test_what_a_newer_server_wrote_is_masked_and_shown_once_its_shape_is_known(
    server: Server, sql: psycopg.Connection, id: str
) -> None:
    stream, type = f"lamp-{id}", f"lamp-{id}-lit"
    store(sql, stream, type, VALUES)
    hidden = dict.fromkeys(VALUES, "***")
    wait_for(lambda: server.get("/events", stream=stream)["events"], "it is in the feed")
    for path in (f"/events?stream={stream}", f"/streams/{stream}"):
        (event,) = server.get(path)["events"]
        assert (event["data"], event["masked"]) == (hidden, "unknown")
    with http.stream("GET", f"{server.base}/events/live", params={"stream": stream}) as live:
        told = next(line for line in live.iter_lines() if line.startswith("data:"))
    assert json.loads(told.removeprefix("data:"))["masked"] == "unknown"
    (event,) = json.loads(server.command("events", "--stream", stream, "--json", fresh=True))["events"]
    assert (event["data"], event["masked"]) == (hidden, "unknown")
    assert "(unknown here)" in server.command("stream", stream, fresh=True)

    note(sql, type, {"name": {"type": "string", "x-sensitive": "personal"}, "room": {"type": "string"}})
    wait_for(lambda: server.get(f"/streams/{stream}")["events"][0]["data"]["room"] == "hall", "its shape is known")
    (event,) = server.get("/events", stream=stream)["events"]
    assert (event["data"], event["masked"]) == (hidden | {"room": "hall"}, "unknown")
    home = {"type": "object", "properties": {"street": {"type": "string"}}}
    note(sql, type, {"name": {}, "home": home})
    wait_for(lambda: server.get(f"/streams/{stream}")["events"][0]["masked"] == "marked", "all of it is known")
    position = str(int(event["position"]) - 1)
    before = server.get("/events", after="0" if position == "0" else None, stream=stream)["events"][0]
    assert before["data"] == VALUES | {"name": "***"}


def test_a_mark_that_a_newer_server_adds_covers_what_is_stored_already_also_by_an_older_name(
    server: Server, sql: psycopg.Connection, id: str
) -> None:
    """Nothing here is unknown to the older server: it is asked for news whenever something is shown."""
    opening = {"account_id": id, "owner": "Ann Private", "currency": "EUR", "opening_balance": 5}
    assert server.post("/accounts", opening).status_code == 201
    data = server.get(f"/streams/account-{id}")["events"][0]["data"]
    assert data == opening | {"owner": "***"}
    note(sql, "account-begun", {"currency": {"type": "string", "x-sensitive": "personal"}}, 1, "account-opened")
    wait_for(
        lambda: server.get(f"/streams/account-{id}")["events"][0]["data"]["currency"] == "***", "the mark is known"
    )


def test_a_mark_added_later_covers_what_a_refusal_made_others_say(
    server: Server, sql: psycopg.Connection, id: str
) -> None:
    server.place_order(id, payment_token="tok_declined")
    saga = server.saga(id)
    reason = saga["error"]["facts"]["reason"]
    assert reason in saga["reason"]
    shape = {"type": "object", "properties": {"reason": {"type": "string", "x-sensitive": "personal"}}}
    sql.execute(
        "insert into amends.shapes (kind, name, version, digest, shape, before)"
        " values ('refusal', 'card-declined', 'newer', %s, %s, '{}')",
        (uuid4().hex, json.dumps(shape)),
    )
    wait_for(lambda: server.get(f"/workflows/{id}")["reason"] != saga["reason"], "the mark is known")
    overview = f"/views/workflow_overview/{id}"
    for path in (f"/workflows/{id}", "/workflows", f"/workflows/{id}/events", f"/events?stream=saga-{id}", overview):
        assert reason not in str(server.get(path)), path
    assert "***" in server.get(overview)["reason"]
    for command in (("list",), ("list", "--json"), ("show", id), ("show", id, "--json")):
        assert reason not in server.command("workflows", *command, fresh=True), command


def test_states_and_rows_are_masked_like_events(server: Server, id: str) -> None:
    opening = {"account_id": id, "owner": "Ann Private", "currency": "EUR", "opening_balance": 5}
    opened = server.post("/accounts", opening).json()
    server.post(f"/accounts/{id}/deposit", {"amount": 2})
    headers = {"If-Match": '"2"'}
    undone = http.post(f"{server.base}/streams/account-{id}/undo", json={"reason": "x"}, headers=headers).json()
    assert undone["state"]["owner"] == "***"
    for path in ("state", "difference", "difference?from_version=1"):
        assert "Ann Private" not in str(server.get(f"/streams/account-{id}/{path}")), path
    row = server.get(f"/views/account_balances/{id}", after_position=opened["position"])
    assert (row["owner"], row["account_id"]) == ("***", id)
    refused = http.get(f"{server.base}/views/account_balances", params={"owner": "Ann Private"})
    assert (refused.status_code, "Ann Private" in refused.text) == (422, False)
    assert "rows cannot be looked for by it" in refused.text
    for command in (("state", f"account-{id}"), ("difference", f"account-{id}"), ("stream", f"account-{id}")):
        assert "Ann Private" not in server.command(*command, fresh=True), command
    assert server.get(f"/accounts/{id}")["owner"] == "Ann Private", "the business's own page shows it"


def test_what_a_saga_took_and_gave_is_masked_once_its_code_is_gone(
    server: Server, sql: psycopg.Connection, id: str
) -> None:
    server.place_order(id)
    server.saga(id)
    known = server.get(f"/workflows/{id}")
    assert known["input"]["customer_id"] != "***"
    assert known["input"]["payment_token"] == known["input"]["postcode"] == "***"
    other = f"{id}-gone"
    server.place_order(other)
    server.saga(other)
    sql.execute("update amends.sagas set name = 'gone-saga', version = 7 where id = %s", (other,))
    started = {"name": "gone-saga", "version": 7, "reference": other, "root": other, "input": VALUES}
    store(sql, f"saga-{other}", "saga-started", started)
    for path in (f"/workflows/{other}", f"/workflows/{other}/events"):
        assert "Ann Private" not in str(server.get(path)), path
    shown = server.get(f"/workflows/{other}")
    assert set(shown["result"].values()) == {"***"}
    fresh = server.get(f"/workflows/{other}/events")["events"][-1]
    assert (fresh["data"]["input"], fresh["masked"]) == (dict.fromkeys(VALUES, "***"), "unknown")
    assert "Ann Private" not in server.command("workflows", "show", other, fresh=True)
    assert "Ann Private" not in server.command("workflows", "show", other, "--json", fresh=True)


def test_a_saga_s_event_of_a_newer_version_is_no_error_in_a_timeline(
    server: Server, sql: psycopg.Connection, id: str
) -> None:
    server.place_order(id)
    server.saga(id)
    store(sql, f"saga-{id}", "operator-resumed", {"reason": "Ann Private", "error": {"name": "x"}}, version=9)
    assert "operator-resumed" in server.command("events", "--stream", f"saga-{id}", fresh=True)
    event = server.get(f"/workflows/{id}/events")["events"][-1]
    assert (event["data"], event["masked"]) == ({"reason": "***", "error": "***"}, "unknown")


def test_every_server_notes_what_it_knows(server: Server, sql: psycopg.Connection) -> None:
    marked = sql.execute(
        "select shape #>> '{properties,payment_token,x-sensitive}' from amends.shapes"
        " where kind = 'input' and name = 'place-order' and version = '1'"
    ).fetchone()
    assert marked == ("secret",)
    kinds = {kind for (kind,) in sql.execute("select distinct kind from amends.shapes")}
    assert kinds >= {"event", "input", "output", "argument", "result", "signal", "refusal", "error", "state", "row"}
