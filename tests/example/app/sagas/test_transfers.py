"""Transfers on a running server: they wait for a person, as rows that nobody runs."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo
from tests.amends.harness.databases import fresh_database
from tests.amends.harness.program import Forked, amends
from tests.example.server import Server, problem, wait_for

YES = {"approved": True, "by": "ann"}


@pytest.fixture(scope="module")
def server(postgres_18: EmbeddedPostgres) -> Iterator[Server]:
    with Server(fresh_database(postgres_18), approval_limit=100) as server:
        yield server.start()


def transfer(server: Server, amount: int) -> str:
    """A transfer between two fresh accounts; the first of them holds 1000."""
    id = f"t-{uuid4().hex[:8]}"
    for account, balance in ((f"{id}-a", 1000), (f"{id}-b", 0)):
        opening = {"account_id": account, "owner": "Ann", "currency": "EUR", "opening_balance": balance}
        assert server.post("/accounts", opening).status_code == 201
    body = {
        "transfer_id": id,
        "from_account": f"{id}-a",
        "to_account": f"{id}-b",
        "amount": amount,
        "currency": "EUR",
    }
    assert server.post("/workflows/transfer-money", body, Idempotency_Key=id).status_code == 202
    return id


def balances(server: Server, id: str) -> list[int]:
    return [server.get(f"/accounts/{id}-{which}")["balance"] for which in "ab"]


def approve(server: Server, id: str, payload: Any = YES, **headers: str) -> httpx.Response:
    return server.post(f"/workflows/{id}/signals/approval", payload, X_Actor="ann", **headers)


def rests(server: Server, id: str, *statuses: str) -> Any:
    """The saga once it has one of these statuses."""
    wait_for(lambda: server.get(f"/workflows/{id}")["status"] in statuses, f"{id} is {statuses}")
    return server.get(f"/workflows/{id}")


def test_a_small_transfer_is_made_at_once(server: Server) -> None:
    id = transfer(server, 100)
    assert server.saga(id)["status"] == "completed"
    assert balances(server, id) == [900, 100]


def test_a_large_one_waits_for_its_approval(server: Server) -> None:
    id = transfer(server, 101)
    saga = server.saga(id)
    assert (saga["status"], saga["waits"][0]["name"]) == ("waiting", "approval")
    assert saga["waiting_for"].startswith("the signal approval, until ")
    assert saga["waiting_until"] > saga["started_at"]
    assert balances(server, id) == [899, 0]
    assert id in [each["id"] for each in server.get("/workflows", status="waiting")["workflows"]]
    answer = approve(server, id)
    assert answer.status_code == 202
    saga = rests(server, id, "completed")
    assert (saga["result"]["approved_by"], saga["waiting_for"]) == ("ann", None)
    assert balances(server, id) == [899, 101]
    events = server.get(f"/workflows/{id}/events")["events"]
    assert [event["type"] for event in events] == [
        "saga-started", "step-completed", "saga-waiting", "signal-received", "wait-ended", "step-completed",
        "saga-completed",
    ]  # fmt: skip
    assert events[3]["metadata"]["actor"] == "ann"
    assert events[3]["metadata"]["correlation_id"] == events[0]["metadata"]["correlation_id"]


def test_a_refused_one_gives_the_money_back(server: Server) -> None:
    id = transfer(server, 500)
    server.saga(id)
    approve(server, id, {"approved": False, "by": "bob"})
    assert rests(server, id, "compensated")["reason"] == "The transfer was not approved by bob."
    assert balances(server, id) == [1000, 0]


def test_one_whose_time_is_over_gives_the_money_back(server: Server) -> None:
    id = transfer(server, 500)
    server.saga(id)
    with psycopg.connect(server.environment["DATABASE_URL"], autocommit=True) as sql:
        sql.execute("alter table amends.events disable trigger events_immutable")
        past = "update amends.events set data = jsonb_set(data, '{until}', '\"2026-01-01T00:00:00Z\"')"
        sql.execute(f"{past} where stream = %s and type = 'saga-waiting'", (f"saga-{id}",))
        sql.execute("alter table amends.events enable always trigger events_immutable")
        sql.execute("update amends.sagas set due_at = now() where id = %s", (id,))
    assert rests(server, id, "compensated")["reason"] == "Nobody approved the transfer in time."
    assert balances(server, id) == [1000, 0]


def test_a_signal_of_the_wrong_shape_is_named_and_changes_nothing(server: Server) -> None:
    id = transfer(server, 500)
    server.saga(id)
    for payload, field in [
        ({"approved": "yes", "by": "a"}, "approved"),
        ({"approved": True, "by": 7}, "by"),
        (YES | {"x": 1}, "x"),
    ]:
        said = problem(approve(server, id, payload), 422, "invalid")
        assert [error["field"] for error in said["errors"]] == [field]
    assert server.get(f"/workflows/{id}")["status"] == "waiting"


def test_an_unknown_signal_says_which_there_are(server: Server) -> None:
    id = transfer(server, 500)
    said = problem(server.post(f"/workflows/{id}/signals/aproval", YES), 404, "not-found")
    assert "transfer-money takes: approval" in said["detail"]
    problem(server.post("/workflows/nobody/signals/approval", YES), 404, "not-found")


def test_a_finished_transfer_is_not_told_anything(server: Server) -> None:
    id = transfer(server, 5)
    server.saga(id)
    problem(approve(server, id), 409, "conflict-status")


def test_the_same_signal_sent_twice_counts_once(server: Server) -> None:
    id = transfer(server, 500)
    server.saga(id)
    with ThreadPoolExecutor(6) as clients:
        answers = list(clients.map(lambda _: approve(server, id, Idempotency_Key=f"s-{id}"), range(12)))
    assert {answer.status_code for answer in answers} == {202}
    assert all(answer.json() == answers[0].json() for answer in answers)
    rests(server, id, "completed")
    told = server.get(f"/workflows/{id}/events")["events"]
    assert [event["type"] for event in told].count("signal-received") == 1
    problem(approve(server, id, YES | {"by": "bob"}, Idempotency_Key=f"s-{id}"), 409, "conflict-idempotency")


def test_a_waiting_transfer_is_nobodys_and_outlives_its_server(server: Server) -> None:
    url = server.environment["DATABASE_URL"]
    id = transfer(server, 500)
    server.saga(id)
    with psycopg.connect(url) as sql:
        row = "select status, executor_id, owner_xid from dbos.workflow_status where workflow_uuid = %s"
        assert sql.execute(row, (id,)).fetchone() == ("PENDING", "parked", None)
    assert server.get("/readyz")["running"] == 0


def test_a_signal_that_was_sent_to_no_server_is_found_by_the_next(postgres_18: EmbeddedPostgres) -> None:
    url: URL = fresh_database(postgres_18)
    with Server(url, approval_limit=100) as server:
        server.start()
        id = transfer(server, 500)
        server.saga(id)
        server.kill()
        done = amends("workflows", "signal", id, "approval", json.dumps(YES), on=url)
        assert done.returncode == 0, done.stderr
        server.start()
        rests(server, id, "completed")
        assert balances(server, id) == [500, 500]


def test_a_check_leaves_a_database_as_it_is(postgres_18: EmbeddedPostgres) -> None:
    url = fresh_database(postgres_18)
    tables = "select count(*) from pg_class"
    with psycopg.connect(conninfo(url), autocommit=True) as sql:
        sql.execute("update amends.schema_state set applied = 'of an older version'")
        assert amends("workflows", "check", on=url).returncode == 0
        assert sql.execute("select distinct applied from amends.schema_state").fetchall() == [("of an older version",)]
        sql.execute("drop schema amends cascade; drop schema views cascade; drop schema dbos cascade")
        before = sql.execute(tables).fetchone()
        done = amends("workflows", "check", "--json", on=url)
        assert json.loads(done.stdout) == {"instances": 0, "fits": 0, "types": [], "old_versions": []}
        assert sql.execute(tables).fetchone() == before


def test_a_check_says_which_sagas_the_code_fits_before_it_is_deployed(server: Server) -> None:
    ids, url = sorted(transfer(server, 500) for _ in range(3)), server.environment["DATABASE_URL"]
    for id in ids:
        server.saga(id)
    done = amends("workflows", "check", "--json", on=url)
    report = json.loads(done.stdout)
    assert (done.returncode, report["fits"]) == (0, report["instances"])
    assert report["instances"] >= 3
    with psycopg.connect(url, autocommit=True) as sql:  # as if other code had begun them
        sql.execute(
            "update dbos.workflow_input set inputs = replace(inputs, '\"amount\"', '\"sum\"') where workflow_uuid = %s",
            ids[:1],
        )
        sql.execute("update amends.sagas set version = 99 where id = %s", ids[1:2])
        done = amends("workflows", "check", on=url)
        sql.execute("delete from amends.sagas where id = any (%s)", (ids[:2],))
    assert done.returncode == 1, done.stderr
    lines = [line.strip() for line in done.stdout.splitlines()]
    assert "1 would be stranded: the recorded input does not fit its type: amount: Field required" in lines
    assert "1 would wait: there is no code for transfer-money:99 here" in lines
    assert ids[0] in lines
    assert ids[1] in lines
    assert "transfer-money:99  0 of 1 unfinished sagas go on; no executor that runs now has code for them" in lines
    assert lines[-1] == f"2 of {report['instances']} unfinished sagas do not go on with the code here."


def watched(server: Server, id: str, out: Any) -> Forked:
    """`workflows show ID --watch` on the server's database."""
    return Forked.start("amends", ["workflows", "show", id, "--watch"], server.environment, out, out)


def test_a_watched_transfer_is_told_event_by_event_until_it_has_ended(server: Server, tmp_path: Path) -> None:
    id = transfer(server, 500)
    server.saga(id)
    said = tmp_path / "said"
    with said.open("wb") as out:
        watch = watched(server, id, out)
    wait_for(lambda: "saga-waiting" in said.read_text(), "what has happened so far is told")
    assert approve(server, id).status_code == 202
    assert watch.wait(60) == 0
    lines = said.read_text().splitlines()
    assert [line.split()[2] for line in lines[:-1]].count("saga-waiting") == 1
    assert "saga-completed" in lines[-2]
    assert lines[-1] == f"transfer-money version 1, {id}: completed"


def test_a_watched_transfer_is_drawn_anew_on_a_terminal_until_somebody_stops_it(server: Server) -> None:
    id = transfer(server, 500)
    server.saga(id)
    ours, its = os.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        with os.fdopen(its, "wb", buffering=0) as out:
            watch = watched(server, id, out)
        seen = b""
        while seen.count(b"approval") < 2:
            seen += terminal.read(4096)
        watch.send_signal(signal.SIGINT)
        assert watch.wait(60) == 0
    assert f"{id}: waiting".encode() in seen
    assert b"\x1b[" in seen, "what was drawn before is drawn over"
