"""SIGKILL at every commit of place-order, on every path: nothing is lost and nothing is done twice.

The points are taken from undisturbed runs. One saga is held at each of them, just before its commit; then the server is
killed. Half of the held commits never happen, the other half happens after the death of the one who sent them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import URL

from tests.amends.harness.holding import kill_at, patient
from tests.example.crash.holding import holder_on
from tests.example.crash.ledger import doubled_keys, net_effects, pending, told, unanswered
from tests.example.server import Server, order, wait_for

PATHS: dict[str, dict[str, Any]] = {
    "happy": {},
    "declined": {"token": "tok_declined"},
    "out-of-stock": {"sku": "OUT-OF-STOCK"},
    "no-courier": {"postcode": "00000"},
    "late-charge": {"token": "tok_late_charge"},
}
OUTCOMES = ("happy", "declined", "no-courier")
"""Paths whose outcome in DBOS is held too: it writes on eight connections, and needs one for itself."""
FEW_CALLS = {"provider_calls": 8}
"""At a time: more of them could take longer than they may, on a machine that is busy."""
MANY = {"connections": 130, "readers": 40} | FEW_CALLS
"""As many connections as commits are held at a time."""


@dataclass(frozen=True)
class Undisturbed:
    status: str
    told: list[Any]
    net: dict[str, int]
    points: list[str]


@dataclass(frozen=True)
class Point:
    """A saga of its own for each point; `what` is where it is held."""

    path: str
    at: str
    landed: bool

    @property
    def id(self) -> str:
        return f"{self.path}.{self.at}.{'landed' if self.landed else 'lost'}"

    @property
    def what(self) -> str:
        return f"saga-{self.id} {self.at}"


def undisturbed(server: Server, sql: psycopg.Connection) -> dict[str, Undisturbed]:
    """Every path once, with the commits that it made: the first version of each transaction of its story."""
    for path, changes in PATHS.items():
        assert server.place_order(f"{path}.undisturbed", **changes).status_code == 202
    found = {}
    for path in PATHS:
        id = f"{path}.undisturbed"
        status = server.saga(id, wait=60)["status"]
        rows = sql.execute(
            "select min(version) from amends.events where stream = %s group by transaction_id order by 1",
            (f"saga-{id}",),
        ).fetchall()
        wait_for(lambda: pending(sql) == 0, "nothing is still to come")
        points = [str(version) for (version,) in rows] + (["outcome"] if path in OUTCOMES else [])
        found[path] = Undisturbed(status, told(sql, id, id), net_effects(sql, id), points)
    return found


def place(server: Server, point: Point) -> httpx.Response | None:
    """Start a saga, again if the server says to try again; None if it died over it."""
    try:
        while (answer := server.place_order(point.id, **PATHS[point.path])).status_code == 503:
            pass
    except httpx.TransportError:
        return None
    return answer


def require_undisturbed(sql: psycopg.Connection, points: list[Point], expected: dict[str, Undisturbed]) -> None:
    """Every saga has the history and the effects of an undisturbed one."""
    slow = unanswered(sql)
    assert not {point.id for point in points} <= slow, "some were answered in time, or histories were not compared"
    for point in points:
        assert point.id in slow or told(sql, point.id, point.id) == expected[point.path].told, point
        assert net_effects(sql, point.id) == expected[point.path].net, point
    assert doubled_keys(sql) == 0


@pytest.mark.timeout(900)
@pytest.mark.parametrize("executor", ["the same", "another"])
def test_a_kill_at_any_commit_changes_nothing(database_18: URL, sql_18: psycopg.Connection, executor: str) -> None:
    with (
        holder_on(database_18) as holder,
        Server(patient(database_18), **MANY) as server,
        Server(database_18, **FEW_CALLS) as other,
    ):
        server.start()
        expected = undisturbed(server, sql_18)
        assert [each.status for each in expected.values()] == ["completed", *["compensated"] * 4]
        points = [
            Point(path, at, landed) for path, run in expected.items() for at in run.points for landed in (False, True)
        ]
        assert len(points) > 90
        survivor, answered = kill_at(holder, points, place, server, other if executor == "another" else None)
        assert sum(answer is None for answer in answered) == 2 * len(PATHS), "the starts were held too"
        for point in points:
            assert survivor.place_order(point.id, **PATHS[point.path]).status_code == 202
        for point in points:
            saga = survivor.saga_when_back(point.id)
            assert saga["status"] == expected[point.path].status, point
        wait_for(lambda: pending(sql_18) == 0, "nothing is still to come")
        require_undisturbed(sql_18, points, expected)
        outcomes = {"completed": "SUCCESS", "compensated": "ERROR"}
        for point in points:
            wait_for(
                lambda point=point: dbos_status(sql_18, point.id) == outcomes[expected[point.path].status],  # type: ignore[misc]
                f"DBOS shows the outcome of {point}",
            )


def dbos_status(sql: psycopg.Connection, id: str) -> str:
    row = sql.execute("select status from dbos.workflow_status where workflow_uuid = %s", (id,)).fetchone()
    return str(row and row[0])


@pytest.mark.timeout(900)
def test_a_kill_inside_any_outside_call_changes_nothing(database_18: URL, sql_18: psycopg.Connection) -> None:
    """The provider is held while it does what it was asked for: the caller dies, the effect may come all the same."""
    inside = {"happy": ["hold", "charge", "book"], "no-courier": ["hold", "charge", "refund", "release"]}
    points = [
        Point(path, operation, landed)
        for path, operations in inside.items()
        for operation in operations
        for landed in (False, True)
    ]
    whats = {point: f"{point.id} {point.at}" for point in points}
    with holder_on(database_18) as holder, Server(patient(database_18), **MANY) as server:
        server.start()
        expected = undisturbed(server, sql_18)
        holder.hold(list(whats.values()))
        for point in points:
            assert server.place_order(point.id, **PATHS[point.path]).status_code == 202
        wait_for(lambda: holder.held() == set(whats.values()), "every provider call is held")
        server.kill()
        holder.lose([whats[point] for point in points if not point.landed])
        holder.release(list(whats.values()))
        server.start()
        for point in points:
            assert server.saga_when_back(point.id)["status"] == expected[point.path].status, point
        require_undisturbed(sql_18, points, expected)


def test_orders_are_what_is_held(database_18: URL) -> None:
    """The hold itself works: without it the tests above would prove nothing."""
    with holder_on(database_18) as holder, Server(database_18) as server:
        server.start()
        holder.hold(["saga-x 3"])
        server.post("/workflows/place-order", order("x"), Idempotency_Key="x")
        wait_for(lambda: holder.held() == {"saga-x 3"}, "the saga is held")
        assert server.get("/workflows/x")["status"] == "running"
        assert len(server.get("/workflows/x")["steps"]) == 1
        holder.release(["saga-x 3"])
        assert server.saga("x")["status"] == "completed"
