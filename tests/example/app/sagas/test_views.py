"""Read models on a running server: read after a write, rebuilt at noon, and brought on when an event does not fit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from app.amends.postgres.embedded.server import EmbeddedPostgres
from tests.amends.harness.databases import fresh_database
from tests.example.server import Server, http, problem, wait_for


@pytest.fixture(scope="module")
def server(postgres_18: EmbeddedPostgres) -> Iterator[Server]:
    with Server(fresh_database(postgres_18)) as server:
        yield server.start()


@pytest.fixture
def sql(server: Server) -> Iterator[psycopg.Connection]:
    with psycopg.connect(server.environment["DATABASE_URL"], autocommit=True) as connection:
        yield connection


def ordered(server: Server, **changes: Any) -> Any:
    """A finished order's saga."""
    id = f"o-{uuid4().hex[:8]}"
    assert server.place_order(id, **changes).status_code == 202
    return server.saga(id)


def test_who_wrote_reads_what_was_written(server: Server) -> None:
    for changes, status in (({}, "confirmed"), ({"token": "tok_declined"}, "cancelled")):
        saga = ordered(server, **changes)
        row = server.get(f"/views/order_board/{saga['id']}", after_position=saga["position"])
        assert (row["status"], row["total"], row["articles"]) == (status, 700, 2)
        line = server.get(f"/views/workflow_overview/{saga['id']}", after_position=saga["position"])
        assert (line["status"], line["outcome"]) == (saga["status"], saga["status"])
    assert (line["failing_step"], line["compensation"], line["steps_compensated"]) == ("charge_card", "done", 2)
    assert line["duration_seconds"] >= 0


def test_every_write_says_what_to_wait_for(server: Server) -> None:
    opening = {"account_id": "v-1", "owner": "Ann Example", "currency": "EUR", "opening_balance": 5}
    opened = server.post("/accounts", opening).json()
    row = server.get("/views/account_balances/v-1", after_position=opened["position"])
    assert (row["balance"], row["movements"]) == (5, 0)
    paid = server.post("/accounts/v-1/deposit", {"amount": 2}).json()
    listed = server.get("/views/account_balances", account_id="v-1", after_position=paid["position"])
    assert [(row["balance"], row["owner"]) for row in listed["rows"]] == [(7, "***")], (
        "personal data is masked in lists"
    )
    position = paid["position"].split("-")[2]
    assert server.get("/views/account_balances/v-1", after_position=position)["balance"] == 7, "a plain one will do"


def test_a_read_model_that_is_not_that_far_says_when_to_ask_again(server: Server) -> None:
    with psycopg.connect(server.environment["DATABASE_URL"]) as other:
        other.execute("select from amends.builds where name = 'order_board' for update")
        wanted = {"after_position": ordered(server)["position"], "timeout": 0.2}
        said = http.get(f"{server.base}/views/order_board", params=wanted)
    problem(said, 503, "behind")
    assert int(said.headers["Retry-After"]) > 0


@pytest.mark.parametrize("token", ["1-999999999-999999999", "7-1-1"])
def test_a_place_of_another_database_is_refused_as_it_is_in_the_feed(server: Server, token: str) -> None:
    for path, field in (("/views/order_board", "after_position"), ("/views/order_board/x", "after_position"),
                        ("/events", "after")):  # fmt: skip
        body = problem(http.get(f"{server.base}{path}", params={field: token}), 422, "invalid")
        assert "ahead of all that was ever written" in str(body)
    problem(http.get(f"{server.base}/views/order_board", params={"after_position": "soon"}), 422, "invalid")


def test_rows_are_found_by_their_columns_page_by_page(server: Server) -> None:
    customer = uuid4().hex
    placed = [ordered(server, customer_id=customer) for _ in range(3)]
    wanted = {"customer_id": customer, "status": "confirmed", "after_position": placed[-1]["position"]}
    first = server.get("/views/order_board", limit=2, **wanted)
    rest = server.get("/views/order_board", limit=2, after=first["next"], **wanted)
    assert [row["order_id"] for row in first["rows"] + rest["rows"]] == sorted(saga["id"] for saga in placed)
    assert rest["next"] is None


@pytest.mark.parametrize(
    ("path", "status", "kind", "field"),
    [
        ("/views/nothing", 404, "not-found", None),
        ("/views/order_board/nothing", 404, "not-found", None),
        ("/views/order_board?colour=red", 422, "invalid", "colour"),
        ("/views/order_board?total=much", 422, "invalid", "total"),
        ("/views/order_board?limit=0", 422, "invalid", "limit"),
        ("/projections/nothing", 404, "not-found", None),
    ],
)
def test_what_is_wrong_is_named(server: Server, path: str, status: int, kind: str, field: str | None) -> None:
    said = problem(http.get(server.base + path), status, kind)
    if field:
        assert said["errors"][0]["field"] == field


def test_a_read_model_is_rebuilt_beside_the_live_one_and_promoted(server: Server, sql: psycopg.Connection) -> None:
    saga = ordered(server)
    problem(server.post("/projections/order_board/promote"), 409, "conflict-nothing-built")
    begun = server.post("/projections/order_board/rebuild", Idempotency_Key="rebuild-1", X_Actor="ann")
    assert begun.status_code == 202
    assert server.post("/projections/order_board/rebuild", Idempotency_Key="rebuild-1").json() == begun.json()
    problem(server.post("/projections/order_board/rebuild"), 409, "conflict-building")
    wait_for(lambda: server.get("/projections/order_board")["rebuild"]["state"] == "ready", "it has caught up")
    rebuilt = server.get("/projections/order_board")["rebuild"]
    assert (rebuilt["progress"], rebuilt["seconds_left"], rebuilt["lag_events"]) == (1.0, 0.0, 0)
    assert server.get("/projections/order_board/verify")["differing"] == 0
    promoted = server.post("/projections/order_board/promote")
    assert promoted.status_code == 200
    assert promoted.json()["build"] == rebuilt["build"]
    assert server.get(f"/views/order_board/{saga['id']}", after_position=saga["position"])["status"] == "confirmed"
    more = ordered(server)
    assert server.get(f"/views/order_board/{more['id']}", after_position=more["position"])["status"] == "confirmed"
    first, second = (sql.execute(f"select * from views.order_board_{n} order by 1".encode()) for n in (1, 2))
    assert first.fetchall() == second.fetchall(), "the old one is kept up to date until it is dropped"
    back = server.post("/projections/order_board/promote", {"build": 1}).json()
    assert back["build"] == 1
    problem(server.post("/projections/order_board/drop", {"build": 1}), 409, "conflict-live")
    assert server.post("/projections/order_board/drop", {"build": 2}).json()["dropped"] == 2
    assert sql.execute("select to_regclass('views.order_board_2')").fetchone() == (None,)
    state = server.get("/streams/projection-order_board")["events"]
    told = [(event["type"], event["data"]["build"]) for event in state]
    assert told == [("build-begun", 2), ("build-promoted", 2), ("build-promoted", 1), ("build-dropped", 2)]
    assert state[0]["metadata"]["actor"] == "ann"


def test_the_command_line_rebuilds_too(server: Server) -> None:
    ordered(server)
    said = server.command("projections", "rebuild", "workflow_overview")
    assert "has caught up" in said
    assert "0 differ" in server.command("projections", "verify", "workflow_overview")
    assert "shows build 2" in server.command("projections", "promote", "workflow_overview")
    assert "dropped" in server.command("projections", "drop", "workflow_overview")
    (found,) = json.loads(server.command("projections", "list", "workflow_overview", "--json"))
    assert (found["build"], found["status"], len(found["builds"])) == (2, "following", 1)
    assert "There are: account_balances" in server.command("projections", "list", "nothing", status=1)


def test_an_event_that_does_not_fit_keeps_only_its_own_key_back(server: Server, sql: psycopg.Connection) -> None:
    bad, good = f"bad-{uuid4().hex[:8]}", ordered(server)
    placed = {"order_id": bad, "customer_id": "c", "lines": [], "total": "much"}
    confirmed = {"order_id": bad, "receipt_id": "r", "parcel_id": "p"}
    for type, data in (("order-placed", placed), ("order-confirmed", confirmed)):
        event = {"id": str(uuid4()), "stream": f"order-{bad}", "type": type, "schema_version": 1, "data": data}
        item = {"streams": [event["stream"]], "events": [event | {"metadata": {}}], "expected": {}, "answer": None}
        sql.execute("select amends.append(%s::jsonb)", (json.dumps([item]),))
    wait_for(lambda: server.get("/projections/order_board")["set_aside"] == 1, "it is set aside")
    (aside,) = server.get("/projections/order_board")["set_aside_keys"]
    assert (aside["key"], aside["type"], aside["waiting"]) == (bad, "order-placed", 1)
    assert "does not fit OrderPlaced" in aside["error"]
    assert f"SET ASIDE  order_board {bad}, 1 events wait behind" in server.command("projections", "list")
    assert "fail  read model order_board: following" in server.command("doctor", status=1)
    another = ordered(server)
    for saga in (good, another):
        assert server.get(f"/views/order_board/{saga['id']}", after_position=saga["position"])["status"] == "confirmed"
    path = f"/projections/order_board/set-aside/{bad}"
    problem(server.post(f"{path}/skip", {}), 422, "invalid")
    assert server.post(f"{path}/retry", {"reason": "perhaps"}).status_code == 202
    again = server.get("/projections/order_board")["set_aside_keys"]
    assert [each["key"] for each in again] == [bad], "nothing was mended"
    assert server.post(f"{path}/skip", {"reason": "written by hand"}).status_code == 202
    wait_for(lambda: server.get("/projections/order_board")["set_aside"] == 0, "it is skipped")
    problem(server.post(f"{path}/retry", {"reason": "again"}), 404, "not-found")
    told = [event for event in server.get("/events", type="set-aside-skipped")["events"] if event["data"]["key"] == bad]
    assert [event["data"]["reason"] for event in told] == ["written by hand"]


def test_lag_is_shown_to_monitoring(server: Server) -> None:
    said = http.get(f"{server.base}/metrics").text
    assert 'amends_projection_lag_events{build="1",projection="account_balances",state="live"} 0.0' in said
    assert "amends_projection_lag_seconds" in said
