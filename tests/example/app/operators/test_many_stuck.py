"""When many are stuck: what they have in common is one group, over HTTP and on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo
from tests.amends.harness.databases import fresh_database
from tests.amends.harness.program import amends
from tests.example.server import Server, http, order, problem, wait_for

VIC = {"Authorization": "Bearer secret-2"}
ORDERS = ("o-1", "o-2", "o-3")


@pytest.fixture(scope="module")
def url(postgres_18: EmbeddedPostgres) -> URL:
    return fresh_database(postgres_18)


@pytest.fixture(scope="module")
def server(url: URL) -> Iterator[Server]:
    """Three orders cannot be refunded, and one more was declined."""
    with Server(url) as server:
        server.start()
        for id in ORDERS:
            server.place_order(id, token="tok_refund_fails", postcode="00000")
        declined = order("o-4", token="tok_declined")
        server.post("/workflows/place-order", declined, Idempotency_Key="o-4", X_Actor="ann")
        wait_for(lambda: len(listed(server, status="stuck")) == len(ORDERS), "all of them are stuck", 60)
        assert server.saga("o-4")["status"] == "compensated"
        yield server


def listed(server: Server, **filters: object) -> list[str]:
    return [each["id"] for each in server.get("/workflows", **filters)["workflows"]]


def test_they_are_one_group_with_what_can_be_done(server: Server, url: URL) -> None:
    (group,) = server.get("/workflows/causes")["causes"]
    since = group.pop("since")
    assert since.endswith("Z")
    assert group.pop("cause").startswith("c-")
    assert "500" not in group["error"]
    assert group.pop("error")
    assert sorted(group.pop("examples")) == list(ORDERS)
    assert group == {
        "kind": "stuck",
        "name": "place-order",
        "version": 1,
        "step": "refund_card",
        "provider": None,
        "count": 3,
        "more": False,
        "acts": ["retry", "skip", "resolve"],
    }
    told = amends("workflows", "causes", "--json", on=url)
    assert json.loads(told.stdout) == server.get("/workflows/causes")["causes"]
    lines = amends("workflows", "causes", on=url).stdout.splitlines()
    assert lines[0].split()[1:6] == ["3", "place-order:1", "stuck", "at", "refund_card,"]
    assert lines[-1] == "    possible: retry, skip, resolve"


def test_the_list_is_filtered_by_what_the_group_says(server: Server, url: URL) -> None:
    (group,) = server.get("/workflows/causes")["causes"]
    assert sorted(listed(server, cause=group["cause"])) == list(ORDERS)
    assert sorted(listed(server, step="refund_card", status="stuck")) == list(ORDERS)
    assert sorted(listed(server, error=group["error"][:20].upper())) == list(ORDERS)
    assert listed(server, error="card-declined") == listed(server, actor="ann") == ["o-4"]
    assert listed(server, version=2) == listed(server, started_before="2026-01-01T00:00:00Z") == []
    counted = server.get("/workflows", cause=group["cause"], count="true", limit=1)
    assert counted["count"] == {"value": 3, "more": False}
    assert "count" not in server.get("/workflows", limit=1)
    on_the_command_line = amends("workflows", "list", "--cause", group["cause"], "--count", on=url)
    assert on_the_command_line.stdout == "3\n"
    same = amends("workflows", "list", "--actor", "ann", "--started-after", "2026-01-01T00:00:00Z", "--json", on=url)
    assert [each["id"] for each in json.loads(same.stdout)] == ["o-4"]
    row = server.get("/workflows/o-4")
    assert (row["actor"], row["cause"][:2]) == ("ann", "c-")


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [
        ("cause", "refund", "must be the id of a cause, such as c-0123456789ab"),
        ("version", "first", "valid integer"),
        ("version", "0", "greater than or equal to 1"),
        ("error", "", "must have 1 to 200 characters"),
        ("started_after", "yesterday", "must be written as 2026-01-31T12:00:00Z is"),
        ("count", "maybe", "valid boolean"),
        ("stp", "refund_card", "is no parameter here; there are: name, version, status"),
    ],
)
def test_a_wrong_filter_is_named(server: Server, name: str, value: str, fix: str) -> None:
    said = problem(http.get(f"{server.base}/workflows", params={name: value}), 422, "invalid")
    (error,) = said["errors"]
    assert error["field"] == name
    assert fix in json.dumps(error, ensure_ascii=False)


@pytest.mark.parametrize("given", ["2026-01-31T12:00:00", "noon"])
def test_a_wrong_time_is_refused_on_the_command_line_too(url: URL, server: Server, given: str) -> None:
    said = amends("workflows", "list", "--started-after", given, on=url)
    assert said.returncode == 1
    assert "started_after: is no instant; one looks like 2026-01-31T12:00:00Z" in said.stderr


def test_a_viewer_sees_them_and_personal_values_are_not_among_them(server: Server, url: URL) -> None:
    with Server(url, api_tokens="ann:secret-1,vic:secret-2:viewer") as guarded:
        guarded.start()
        seen = http.get(f"{guarded.base}/workflows/causes", headers=VIC)
        assert seen.status_code == 200
        assert seen.json()["causes"][0]["count"] == len(ORDERS)
        assert http.get(f"{guarded.base}/workflows/causes").status_code == 401
    with psycopg.connect(conninfo(url)) as sql:
        kept = str(sql.execute("select * from amends.causes").fetchall())
    assert "00000" not in kept
    assert "tok_" not in kept
