"""A brake on running servers: held in every process, kept over deaths, lifted evenly; nothing is done twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo
from tests.amends.harness.databases import fresh_database
from tests.amends.harness.program import amends
from tests.example.server import Server, http, problem, wait_for

ORDERS = 30


@pytest.fixture
def url(postgres_18: EmbeddedPostgres) -> URL:
    return fresh_database(postgres_18)


@pytest.fixture
def server(url: URL) -> Iterator[Server]:
    with Server(url) as server:
        yield server.start()


def set_brake(server: Server, scope: dict[str, Any], **more: Any) -> str:
    answer = server.post("/brakes", {"scope": scope, "reason": "they charge twice"} | more, X_Actor="ann")
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def lift(server: Server, brake: str) -> None:
    assert http.delete(f"{server.base}/brakes/{brake}", params={"reason": "mended"}).status_code == 204


def effects(url: URL, operation: str) -> list[str]:
    with psycopg.connect(conninfo(url)) as sql:
        rows = sql.execute("select reference from sandbox.effects where operation = %s", (operation,)).fetchall()
    return sorted(row[0] for row in rows)


def waiting(server: Server) -> int:
    return sum(each["waiting"] for each in server.get("/brakes")["brakes"])


@pytest.mark.timeout(170)
def test_a_provider_is_held_in_all_processes_and_over_their_deaths(url: URL, server: Server) -> None:
    ids = [f"o-{number}" for number in range(ORDERS)]
    with Server(url, provider_url=f"{server.base}/sandbox") as other:
        other.start()
        brake = set_brake(server, {"provider": "payments"})
        wait_for(lambda: "holds provider payments" in other.said, "the other server knows it")
        for number, id in enumerate(ids):
            (other if number % 2 else server).place_order(id)
        wait_for(lambda: waiting(server) == ORDERS, "all orders wait at it")
        other.kill()
        saga = server.get(f"/workflows/{ids[1]}")
        assert saga["status"] == "running"
        assert brake in saga["waiting_for"]
        assert "they charge twice" in saga["waiting_for"]
        assert [(each["kind"], each["name"]) for each in saga["waits"]] == [("brake", brake)]
        assert effects(url, "charge") == []
    server.kill()
    server.start()
    late = server.place_order("late")
    assert late.status_code == 202, late.text
    wait_for(lambda: waiting(server) == ORDERS + 1, "it is kept over a restart")
    assert effects(url, "charge") == []
    assert f'amends_brake_waiting_sagas{{brake="{brake}"' in http.get(f"{server.base}/metrics").text
    lift(server, brake)
    for id in (*ids, "late"):
        assert server.saga_when_back(id)["status"] == "completed", id
    assert effects(url, "charge") == sorted([*ids, "late"]), "each was charged once"
    kept = [
        (each["type"], each["metadata"]["actor"]) for each in server.get(f"/streams/amends-brake-{brake}")["events"]
    ]
    assert kept == [("brake-set", "ann"), ("brake-lifted", "anonymous")]


def test_starts_are_queued_or_refused_and_accepted_keys_are_always_answered(url: URL, server: Server) -> None:
    first = server.place_order("before")
    assert server.saga("before")["status"] == "completed"
    queue = set_brake(server, {"name": "place-order"})
    queued = server.place_order("o-1")
    assert queued.json() == {"id": "o-1", "name": "place-order", "version": 1, "status": "queued"}
    assert server.place_order("o-1").json() == queued.json()
    saga = server.get("/workflows/o-1")
    assert (saga["status"], saga["steps"], saga["waits"][0]["kind"]) == ("queued", [], "brake")
    refuse = set_brake(server, {"name": "place-order", "version": 1}, starts="refuse")
    answer = server.place_order("o-2")
    assert refuse in problem(answer, 503, "braked")["detail"]
    assert answer.headers["retry-after"]
    assert server.get("/workflows", reference="o-2")["workflows"] == []
    assert server.place_order("o-1").json() == queued.json()
    assert server.place_order("before").json() == first.json()
    other = {"trip_id": "t-1", "traveller": "a", "flight": "f", "hotel": "h", "car": "c"}
    assert server.post("/workflows/book-trip", other, Idempotency_Key="t-1").status_code == 202
    assert server.saga("t-1")["status"] == "completed", "another type is not held"
    lift(server, refuse)
    assert server.get("/workflows/o-1")["status"] == "queued"
    lift(server, queue)
    assert server.saga_when_back("o-1")["status"] == "completed"
    assert server.place_order("o-1").json() == queued.json(), "the same answer ever after"
    assert effects(url, "charge") == ["before", "o-1"]


def test_a_cancel_goes_through_and_compensations_only_wait_if_asked(url: URL, server: Server) -> None:
    step = set_brake(server, {"step": "charge_card"})
    for id in ("o-1", "o-2"):
        server.place_order(id)
    wait_for(lambda: waiting(server) == 2, "both wait")
    tried = server.post("/workflows/o-1/cancel?dry_run=true", {"reason": "called"}).json()
    assert [each["compensation"] for each in tried["next"]] == ["release_stock", "cancel_order"]
    assert "at this moment" not in tried["until"], "nobody runs it at a brake"
    server.post("/workflows/o-1/cancel", {"reason": "called"})
    assert server.saga_when_back("o-1")["status"] == "compensated"
    whole = set_brake(server, {"name": "place-order"}, compensations=True)
    server.post("/workflows/o-2/cancel", {"reason": "called"})
    wait_for(lambda: server.get("/workflows/o-2")["status"] == "compensating", "it turns back, and waits")
    assert effects(url, "release") == ["o-1"]
    lift(server, step)
    lift(server, whole)
    assert server.saga_when_back("o-2")["status"] == "compensated"
    assert effects(url, "release") == ["o-1", "o-2"]


def test_the_command_line_sets_lists_and_lifts(url: URL, server: Server) -> None:
    set_ = amends("brake", "set", "--name", "place-order", "--reason", "flood", "--json", on=url)
    brake = json.loads(set_.stdout)["id"]
    server.place_order("o-1")
    listed = amends("brake", "list", on=url).stdout
    assert all(each in listed for each in (brake, "name place-order", "starts are queued", "1 wait", "flood"))
    assert f"BRAKE  {brake}" in amends("workflows", "list", on=url).stdout
    doctor = amends("doctor", on=url)
    assert f"{brake} holds name place-order" in doctor.stdout
    assert doctor.returncode == 0, "a brake is no fault"
    assert amends("brake", "lift", brake, "--reason", "dry again", on=url).stdout == f"{brake} is lifted.\n"
    assert server.saga_when_back("o-1")["status"] == "completed"
    again = amends("brake", "lift", brake, "--reason", "dry again", on=url)
    assert again.returncode == 1
    assert "dry again" in again.stderr
    wrong = amends("brake", "set", "--name", "place-oder", "--reason", "flood", on=url)
    assert wrong.returncode == 1
    assert "place-order" in wrong.stderr


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scope": {}}, "scope"),
        ({"scope": {"nam": "place-order"}}, "scope.nam"),
        ({"scope": {"name": "place-oder"}}, "scope.name"),
        ({"scope": {"name": "place-order", "version": 9}}, "scope.version"),
        ({"scope": {"name": "place-order", "version": "1"}}, "scope.version"),
        ({"scope": {"step": "charge-card"}}, "scope.step"),
        ({"scope": {"provider": " "}}, "scope.provider"),
        ({"scope": {"provider": "payments"}, "starts": "refuse"}, "starts"),
        ({"scope": {"provider": "payments"}, "starts": "later"}, "starts"),
        ({"scope": {"provider": "payments"}, "compensations": 1}, "compensations"),
        ({"scope": {"provider": "payments"}, "reason": ""}, "reason"),
    ],
)
def test_a_wrong_brake_is_refused_by_its_field(server: Server, body: dict[str, Any], field: str) -> None:
    said = problem(server.post("/brakes", {"reason": "why"} | body), 422, "invalid")
    assert field in [each["field"] for each in said["errors"]]
    assert server.get("/brakes")["brakes"] == []


def test_a_key_sets_one_brake_and_only_operators_may(url: URL, server: Server) -> None:
    body = {"scope": {"provider": "payments"}, "reason": "why"}
    first = server.post("/brakes", body, Idempotency_Key="k-1")
    assert server.post("/brakes", body, Idempotency_Key="k-1").json() == first.json()
    problem(server.post("/brakes", body | {"reason": "else"}, Idempotency_Key="k-1"), 409, "conflict-idempotency")
    assert len(server.get("/brakes")["brakes"]) == 1
    with Server(url, api_tokens="ann:a-1:starter,vic:v-1:viewer,olga:o-1") as guarded:
        guarded.start()
        for token in ("a-1", "v-1"):
            headers = {"Authorization": f"Bearer {token}"}
            refused = http.post(f"{guarded.base}/brakes", json=body, headers=headers)
            problem(refused, 403, "forbidden")
            assert http.get(f"{guarded.base}/brakes", headers=headers).status_code == 200
            brake = first.json()["id"]
            lifting = http.delete(f"{guarded.base}/brakes/{brake}", params={"reason": "x"}, headers=headers)
            problem(lifting, 403, "forbidden")
        headers = {"Authorization": "Bearer o-1"}
        set_by = http.post(f"{guarded.base}/brakes", json=body, headers=headers)
        assert set_by.status_code == 201
        assert [each["actor"] for each in server.get("/brakes")["brakes"]] == ["anonymous", "olga"]


def test_what_waits_at_a_brake_for_long_is_among_the_causes(url: URL, server: Server) -> None:
    del server
    with Server(url, long_wait_seconds=0.1) as impatient:
        impatient.start()
        brake = set_brake(impatient, {"step": "charge_card"})
        start = set_brake(impatient, {"name": "book-trip"})
        impatient.place_order("o-1")
        other = {"trip_id": "t-1", "traveller": "a", "flight": "f", "hotel": "h", "car": "c"}
        impatient.post("/workflows/book-trip", other, Idempotency_Key="t-1")
        wait_for(lambda: len(impatient.get("/workflows/causes")["causes"]) == 2, "both are causes")
        found = {each["name"]: each for each in impatient.get("/workflows/causes")["causes"]}
        assert (found["place-order"]["kind"], found["place-order"]["error"]) == ("brake", brake)
        assert (found["place-order"]["step"], found["place-order"]["examples"]) == ("charge_card", ["o-1"])
        assert (found["book-trip"]["error"], found["book-trip"]["acts"]) == (start, ["cancel"])
