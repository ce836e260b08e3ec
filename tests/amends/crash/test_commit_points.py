"""SIGKILL at every commit of a saga, on every path: nothing is lost and nothing is done twice.

The points are taken from undisturbed runs. One saga is held at each of them, just before its commit; then the server is
killed. Half of the held commits never happen, the other half happens after the death of the one who sent them.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import URL

from tests.amends.business.buying import LEDGER
from tests.amends.harness.holding import CommitHolder, kill_at, patient
from tests.amends.harness.server import Server, wait_for

PATHS: dict[str, dict[str, Any]] = {"delivered": {}, "refused": {"delivered": False}}
MANY = {"connections": 50, "readers": 20}
"""As many connections as commits are held at a time."""


class Shop(Server):
    """A server that sells."""

    program = (sys.executable, "-m", "tests.amends.serving")

    def buy(self, id: str, path: str) -> httpx.Response:
        """Start a saga, again if the server says to try again."""
        body = {"id": id, "article": "apple"} | PATHS[path]
        while (answer := self.post("/workflows/buy", body, Idempotency_Key=id)).status_code == 503:
            pass
        return answer


@dataclass(frozen=True)
class Undisturbed:
    status: str
    history: list[Any]
    entries: list[Any]
    points: list[str]


@dataclass(frozen=True)
class Point:
    """A saga of its own for each point."""

    path: str
    at: str
    landed: bool

    @property
    def id(self) -> str:
        return f"{self.path}.{self.at}.{'landed' if self.landed else 'lost'}"

    @property
    def what(self) -> str:
        return f"saga-{self.id} {self.at}"


def history(sql: psycopg.Connection, id: str) -> list[Any]:
    """The events of a saga and of its purchase."""
    rows = sql.execute(
        "select split_part(stream, '-', 1), version, type, data ->> 'step' from amends.events"
        " where stream in (%s, %s) order by 1, 2",
        (f"saga-{id}", f"purchase-{id}"),
    )
    return rows.fetchall()


def entries(sql: psycopg.Connection, id: str) -> list[Any]:
    """What was really done."""
    return sql.execute("select entry from ledger.entries where reference = %s order by 1", (id,)).fetchall()


def undisturbed(server: Shop, sql: psycopg.Connection, path: str) -> Undisturbed:
    """A path with the commits that it made: the first version of each transaction of its history, and its outcome."""
    id = f"{path}.undisturbed"
    server.buy(id, path)
    status = server.saga(id)["status"]
    rows = sql.execute(
        "select min(version) from amends.events where stream = %s group by transaction_id order by 1", (f"saga-{id}",)
    ).fetchall()
    points = [*(str(version) for (version,) in rows), "outcome"]
    return Undisturbed(status, history(sql, id), entries(sql, id), points)


def buy(server: Shop, point: Point) -> httpx.Response | None:
    """What the server answers; None if it dies over it."""
    try:
        return server.buy(point.id, point.path)
    except httpx.TransportError:
        return None


@pytest.mark.parametrize("executor", ["the same", "another"])
def test_a_kill_at_any_commit_changes_nothing(database_18: URL, sql_18: psycopg.Connection, executor: str) -> None:
    sql_18.execute(LEDGER)
    with (
        CommitHolder.on(database_18) as holder,
        Shop(patient(database_18), **MANY) as server,
        Shop(database_18) as other,
    ):
        server.start()
        expected = {path: undisturbed(server, sql_18, path) for path in PATHS}
        assert [each.status for each in expected.values()] == ["completed", "compensated"]
        assert [each.entries for each in expected.values()] == [
            [("delivered",), ("paid",)],
            [("paid",), ("paid back",)],
        ]
        points = [
            Point(path, at, landed) for path, run in expected.items() for at in run.points for landed in (False, True)
        ]
        assert len(points) > 25
        survivor, answered = kill_at(holder, points, buy, server, other if executor == "another" else None)
        assert answered.count(None) == 2 * len(PATHS), "the starts were held too"
        for point in points:
            assert survivor.buy(point.id, point.path).status_code == 202
        for point in points:
            run = expected[point.path]
            assert survivor.saga_when_back(point.id)["status"] == run.status, point
            assert history(sql_18, point.id) == run.history, point
            assert entries(sql_18, point.id) == run.entries, point


def test_a_saga_waits_where_it_is_held(database_18: URL, sql_18: psycopg.Connection) -> None:
    """The hold itself works: without it the test above would prove nothing."""
    sql_18.execute(LEDGER)
    with CommitHolder.on(database_18) as holder, Shop(database_18) as server:
        server.start()
        holder.hold(["saga-x 3"])
        server.buy("x", "delivered")
        wait_for(lambda: holder.held() == {"saga-x 3"}, "the saga is held")
        assert server.get("/workflows/x")["status"] == "running"
        holder.release(["saga-x 3"])
        assert server.saga("x")["status"] == "completed"
