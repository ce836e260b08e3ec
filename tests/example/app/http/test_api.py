"""The HTTP API, on a running server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo
from tests.amends.harness.databases import fresh_database
from tests.example.server import Server, http, order, problem


@pytest.fixture(scope="module")
def server(postgres_18: EmbeddedPostgres) -> Iterator[Server]:
    with Server(fresh_database(postgres_18)) as server:
        yield server.start()


@pytest.fixture
def id() -> str:
    return f"o-{uuid4().hex[:10]}"


def test_a_start_that_waits_answers_with_what_came_of_it(server: Server, id: str) -> None:
    answer = server.post("/workflows/place-order?wait=30", order(id), Idempotency_Key=id)
    assert (answer.status_code, answer.headers["location"]) == (200, f"/workflows/{id}")
    assert answer.json() == server.saga(id)
    assert answer.json()["status"] == "completed"
    slow = order(f"{id}-slow", sku="SLOW-boat")
    first = server.post("/workflows/place-order?wait=0.1", slow, Idempotency_Key=f"{id}-slow")
    assert (first.status_code, first.json()["status"]) == (202, "running")
    again = server.post("/workflows/place-order?wait=60", slow, Idempotency_Key=f"{id}-slow")
    assert (again.status_code, again.json()["status"]) == (200, "completed"), "a repeat waits again"
    other = server.post("/workflows/place-order?wait=9", order(f"{id}-other"), Idempotency_Key=id)
    assert other.status_code == 409
    problem(server.post("/workflows/place-order?wait=no", order(id)), 422, "invalid")


def test_an_order_is_started_watched_and_completed(server: Server, id: str) -> None:
    answer = server.post(
        "/workflows/place-order", order(id), Idempotency_Key=id, X_Correlation_ID="story-1", X_Actor="ann"
    )
    assert answer.status_code == 202
    assert answer.json() == {"id": id, "name": "place-order", "version": 1, "status": "running"}
    assert answer.headers["location"] == f"/workflows/{id}"
    saga = server.saga(id)
    assert saga["status"] == "completed"
    assert saga["reference"] == id
    assert saga["correlation_id"] == "story-1"
    assert saga["input"] == order(id) | {"payment_token": "***", "postcode": "***"}
    assert saga["result"]["order_id"] == id
    assert [(step["name"], step["status"]) for step in saga["steps"]] == [
        ("open_order", "completed"),
        ("hold_stock", "completed"),
        ("charge_card", "completed"),
        ("book_courier", "completed"),
        ("confirm_order", "completed"),
    ]
    assert all(step["started_at"] <= step["finished_at"] for step in saga["steps"])
    events = server.get(f"/workflows/{id}/events")["events"]
    assert [event["type"] for event in events] == ["saga-started", *["step-completed"] * 5, "saga-completed"]
    assert {event["metadata"]["actor"] for event in events} == {"ann"}
    assert {event["metadata"]["correlation_id"] for event in events} == {"story-1"}
    assert [event["data"].get("step") for event in events][1:3] == ["open_order", "hold_stock"]


def test_a_declined_order_is_compensated(server: Server, id: str) -> None:
    server.place_order(id, token="tok_declined")
    saga = server.saga(id)
    assert saga["status"] == "compensated"
    assert saga["reason"] == "The card was declined: declined by the issuer."
    assert saga["error"]["name"] == "card-declined"
    charged = next(step for step in saga["steps"] if step["name"] == "charge_card")
    assert charged["status"] == "refused"
    assert charged["error"]["facts"] == {"reason": "declined by the issuer"}
    held = next(step for step in saga["steps"] if step["name"] == "hold_stock")
    assert held["compensation"] == {"name": "release_stock", "status": "completed", "attempts": 1, "error": None}


def test_a_flaky_provider_is_asked_again(server: Server, id: str) -> None:
    server.place_order(id, token="tok_flaky")
    saga = server.saga(id)
    assert saga["status"] == "completed"
    charged = next(step for step in saga["steps"] if step["name"] == "charge_card")
    assert charged["attempts"] == 3


def test_a_retrying_step_shows_its_error_and_its_next_attempt(server: Server, id: str) -> None:
    server.place_order(id, token="tok_late_charge")
    deadline = time.monotonic() + 20
    while True:
        steps = server.get(f"/workflows/{id}")["steps"]
        if steps and steps[-1]["status"] == "retrying":
            break
        assert time.monotonic() < deadline
    assert steps[-1]["name"] == "charge_card"
    assert "202 pending" in steps[-1]["error"]["message"]
    assert steps[-1]["next_attempt_at"] > steps[-1]["started_at"]
    assert server.saga(id)["status"] == "compensated"


def test_the_same_key_and_body_act_once_and_answer_the_same(server: Server, id: str) -> None:
    first, again = server.place_order(id), server.place_order(id)
    server.saga(id)
    late = server.place_order(id)
    assert first.json() == again.json() == late.json()
    assert {first.status_code, again.status_code, late.status_code} == {202}
    assert len(server.get("/workflows", reference=id)["workflows"]) == 1


def test_the_same_key_with_another_body_is_a_conflict(server: Server, id: str) -> None:
    server.place_order(id)
    said = problem(server.place_order(id, postcode="99999"), 409, "conflict-idempotency")
    assert id in said["detail"]


def test_a_start_without_a_key_gets_an_id(server: Server, id: str) -> None:
    answer = server.post("/workflows/place-order", order(id))
    assert answer.status_code == 202
    assert server.saga(answer.json()["id"])["status"] == "completed"


def test_a_second_order_under_one_number_is_refused_and_charges_nothing(server: Server, id: str) -> None:
    server.place_order(id)
    server.saga(id)
    other = server.post("/workflows/place-order", order(id), Idempotency_Key=f"{id}-b").json()["id"]
    saga = server.saga(other)
    assert saga["status"] == "compensated"
    assert saga["steps"][0]["status"] == "refused"
    assert len(saga["steps"]) == 1


def test_sagas_are_listed_newest_first_and_in_pages(server: Server, id: str) -> None:
    for number in range(5):
        order_ = order(f"{id}-{number}")
        server.post("/workflows/place-order", order_, Idempotency_Key=f"{id}-{number}", X_Correlation_ID=id)
    for number in range(5):
        server.saga(f"{id}-{number}")
    ids: list[str] = []
    cursor: str | None = None
    while True:
        page = server.get(
            "/workflows", correlation_id=id, limit=2, **({"cursor": cursor} if cursor else {}), status="completed"
        )
        ids += [saga["id"] for saga in page["workflows"]]
        if not (cursor := page["next"]):
            break
    assert ids == [f"{id}-{number}" for number in (4, 3, 2, 1, 0)]
    assert server.get("/workflows", reference=f"{id}-3", name="place-order")["workflows"][0]["id"] == f"{id}-3"
    assert server.get("/workflows", reference=f"{id}-3", name="other")["workflows"] == []
    assert server.get("/workflows", reference=f"{id}-3", status="stuck")["workflows"] == []


def test_waiting_ends_when_its_time_is_over(server: Server, id: str) -> None:
    server.place_order(id, sku="SLOW-boat")
    assert server.saga(id, wait=0.3)["status"] == "running"
    assert server.saga(id)["status"] == "completed"


def test_definitions_tell_inputs_and_steps(server: Server) -> None:
    (definition,) = [
        each for each in server.get("/workflows/definitions")["definitions"] if each["name"] == "place-order"
    ]
    assert definition["versions"] == [1]
    assert definition["input"]["properties"]["lines"]["type"] == "array"
    assert definition["steps"][2]["compensation"] == "refund_card"


def test_a_stream_tells_an_orders_history(server: Server, id: str) -> None:
    server.place_order(id)
    server.saga(id)
    answer = http.get(f"{server.base}/streams/order-{id}")
    assert answer.headers["etag"] == '"2"'
    events = answer.json()["events"]
    assert [(event["version"], event["type"]) for event in events] == [(1, "order-placed"), (2, "order-confirmed")]
    assert events[0]["metadata"]["step"] == "open_order"
    assert events[0]["metadata"]["workflow_id"] == id
    more = server.get(f"/streams/order-{id}", after=events[0]["position"])["events"]
    assert [event["version"] for event in more] == [2]
    assert server.get("/streams/order-nobody")["events"] == []


def test_the_feed_has_every_event_once_and_resumes(server: Server, id: str) -> None:
    server.place_order(id)
    server.saga(id)
    seen: list[dict[str, Any]] = []
    after: str | None = None
    while True:
        page = server.get("/events", limit=7, **({"after": after} if after else {}))
        if not page["events"]:
            break
        seen += page["events"]
        after = page["next"]
    positions = [event["position"] for event in seen]
    assert len(positions) == len(set(positions))
    mine = [event for event in seen if event["metadata"].get("workflow_id") == id]
    assert len(mine) == 9
    assert server.get("/events", after=after)["events"] == []
    assert server.get("/events", type="order-placed", stream=f"order-{id}")["events"][0]["data"]["order_id"] == id
    assert len(server.get("/events", correlation_id=id)["events"]) == 9
    plain = server.get("/events", after=str(seen[0]["position"]), limit=1)["events"]
    assert plain[0]["position"] == seen[1]["position"]


def test_secrets_and_personal_data_are_masked_in_lists_and_errors(server: Server, id: str) -> None:
    server.place_order(id, token="tok_declined")
    server.saga(id)
    other = f"{id}-b"
    server.place_order(other, token="tok_secret_4711", postcode="00000")
    assert server.saga(other)["reason"] == "No courier delivers to postcode ***."
    for path in (
        f"/workflows/{id}/events",
        f"/workflows/{other}/events",
        "/events",
        "/workflows",
        f"/streams/saga-{id}",
    ):
        text = http.get(server.base + path, params={"limit": 1000}).text
        assert "tok_" not in text, path
        assert "12345" not in text, path
    given = server.get(f"/workflows/{id}/events")["events"][0]["data"]["input"]
    assert (given["payment_token"], given["postcode"], given["order_id"]) == ("***", "***", id)
    refused = server.get(f"/workflows/{other}/events")["events"]
    facts = [event["data"]["error"]["facts"] for event in refused if event["type"] == "step-refused"]
    assert facts == [{"postcode": "***"}]
    steps = server.get(f"/workflows/{other}")["steps"]
    assert steps[-1]["error"]["facts"] == {"postcode": "***"}
    wrong = server.post("/workflows/place-order", order(id, token="tok_secret_4711") | {"lines": []})
    assert "tok_secret" not in wrong.text
    assert "tok_secret" not in server.said


def test_a_stuck_saga_says_why_and_goes_on_when_a_person_decides(server: Server, id: str) -> None:
    server.place_order(id, token="tok_refund_fails", postcode="00000")
    saga = server.saga(id, wait=40)
    assert saga["status"] == "stuck"
    assert saga["reason"].startswith("refund_card failed 5 times")
    listed = server.get("/workflows", status="stuck", reference=id)["workflows"]
    assert [each["reason"] for each in listed] == [saga["reason"]]
    assert server.post("/sandbox/payments/refunds", {"fail": False}).status_code == 200
    answer = server.post(
        f"/workflows/{id}/retry", {"reason": "refunds work again"}, X_Actor="ann", Idempotency_Key=f"{id}-r"
    )
    assert answer.status_code == 202
    assert server.saga(id)["status"] == "compensated"
    again = server.post(
        f"/workflows/{id}/retry", {"reason": "refunds work again"}, X_Actor="ann", Idempotency_Key=f"{id}-r"
    )
    assert (again.status_code, again.json()) == (202, answer.json())
    acted = [e for e in server.get(f"/workflows/{id}/events")["events"] if e["type"] == "operator-acted"]
    assert [(event["data"]["act"], event["data"]["reason"], event["metadata"]["actor"]) for event in acted] == [
        ("retry", "refunds work again", "ann")
    ]
    server.post("/sandbox/payments/refunds", {"fail": True})


def test_only_a_stuck_saga_is_decided_about(server: Server, id: str) -> None:
    server.place_order(id)
    server.saga(id)
    for act in ("retry", "skip", "resolve"):
        problem(server.post(f"/workflows/{id}/{act}", {"reason": "why not"}), 409, "conflict-status")
        problem(server.post(f"/workflows/nobody/{act}", {"reason": "why not"}), 404, "not-found")
        said = problem(server.post(f"/workflows/{id}/{act}", {"reason": ""}), 422, "invalid")
        assert said["errors"][0]["field"] == "reason"


def test_health_is_told(server: Server) -> None:
    assert server.get("/healthz")["status"] == "ok"
    assert server.get("/readyz")["status"] == "ready"
    assert http.get(f"{server.base}/docs").status_code == 200
    assert http.get(f"{server.base}/", follow_redirects=True).status_code == 200


def test_dbos_shows_steps_and_outcomes_as_json(server: Server, id: str) -> None:
    server.place_order(id, token="tok_declined")
    server.saga(id)
    with psycopg.connect(server.environment["DATABASE_URL"]) as connection:
        rows = connection.execute(
            "select function_name, serialization from dbos.operation_outputs"
            " where workflow_uuid = %s order by function_id",
            (id,),
        ).fetchall()
    assert rows[0] == ("open_order", "portable_json")
    assert [name for name, _ in rows] == [
        "open_order",
        "hold_stock",
        "charge_card",
        "turn-back",
        "release_stock",
        "cancel_order",
        "compensated",
    ]


def test_tokens_are_required_once_there_are_any(postgres_18: EmbeddedPostgres, id: str) -> None:
    url = fresh_database(postgres_18)
    with Server(url, api_tokens="ann:secret-1,bob:secret-2") as server:
        server.start()
        problem(http.get(f"{server.base}/workflows"), 401, "unauthorised")
        problem(http.get(f"{server.base}/workflows", headers={"Authorization": "Bearer wrong"}), 401, "unauthorised")
        assert http.get(f"{server.base}/healthz").status_code == 200
        bob = {"Authorization": "Bearer secret-2", "X-Actor": "ann"}
        answer = http.post(f"{server.base}/workflows/place-order", json=order(id), headers=bob)
        found = http.get(f"{server.base}/workflows/{answer.json()['id']}?wait=30", headers=bob, timeout=40).json()
        assert found["status"] == "completed", "the server's own calls to its provider pass"
        events = http.get(f"{server.base}/workflows/{found['id']}/events", headers=bob).json()["events"]
        assert events[0]["metadata"]["actor"] == "bob"
        assert "secret-" not in server.said
    assert conninfo(url)
