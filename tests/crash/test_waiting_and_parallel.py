"""SIGKILL at every commit of trips and transfers: branches in parallel, signals, approvals and cancels lose nothing.

As in test_commit_points: one saga is held just before each of its commits, then the server is killed. Half of the held
commits never happen, the other half after the death of the one who sent them. Clients then ask again, by the same key.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import URL

from app.store.database import conninfo
from tests.crash.holding import Holder
from tests.crash.ledger import doubled_keys, net_effects
from tests.server import Server, wait_for

MANY = {"connections": 100, "readers": 40, "approval_limit": 100}
YES, NO = {"approved": True, "by": "ann"}, {"approved": False, "by": "ann"}


@dataclass(frozen=True)
class Path:
    """One way a saga can go: what it is started with, and what it is told while it waits."""

    workflow: str
    input: dict[str, Any]
    told: tuple[str, Any] | None
    status: str


def trip(**changes: str) -> dict[str, Any]:
    return {"traveller": "Ann", "flight": "LH1", "hotel": "Ritz", "car": "Mini"} | changes


PATHS = {
    "trip": Path("book-trip", trip(), None, "completed"),
    "sold-out": Path("book-trip", trip(hotel="SOLD-OUT"), None, "compensated"),
    "small": Path("transfer-money", {"amount": 5}, None, "completed"),
    "approved": Path("transfer-money", {"amount": 500}, ("signals/approval", YES), "completed"),
    "refused": Path("transfer-money", {"amount": 500}, ("signals/approval", NO), "compensated"),
    "cancelled": Path("transfer-money", {"amount": 500}, ("cancel", {"reason": "no"}), "compensated"),
}


@dataclass(frozen=True)
class Point:
    path: str
    at: str
    landed: bool

    @property
    def id(self) -> str:
        return f"{self.path}.{self.at}.{'landed' if self.landed else 'lost'}"

    @property
    def what(self) -> str:
        return f"saga-{self.id} {self.at}"


@pytest.fixture
def sql(database_18: URL) -> Iterator[psycopg.Connection]:
    with psycopg.connect(conninfo(database_18), autocommit=True) as connection:
        yield connection


def body(path: Path, id: str) -> dict[str, Any]:
    if path.workflow == "book-trip":
        return path.input | {"trip_id": id}
    ends = {"from_account": f"{id}-a", "to_account": f"{id}-b"}
    return path.input | ends | {"transfer_id": id, "currency": "EUR"}


def open_accounts(server: Server, id: str) -> None:
    for account, balance in ((f"{id}-a", 1000), (f"{id}-b", 0)):
        opening = {"account_id": account, "owner": "Ann", "currency": "EUR", "opening_balance": balance}
        server.post("/accounts", opening, Idempotency_Key=f"open.{account}")


def drive(server: Server, id: str, path: Path) -> bool:
    """What a client does with one saga; False if the server died over it. The same again after a restart."""
    try:
        if path.workflow == "transfer-money":
            open_accounts(server, id)
        started = server.post(f"/workflows/{path.workflow}", body(path, id), Idempotency_Key=id)
        assert started.status_code == 202, started.text
        if path.told:
            _when_it_waits(server, id)
            where, what = path.told
            told = server.post(f"/workflows/{id}/{where}", what, Idempotency_Key=f"tell.{id}")
            assert told.status_code in (202, 409), told.text
    except httpx.TransportError:
        return False
    return True


def _when_it_waits(server: Server, id: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if server.get(f"/workflows/{id}", wait=5)["status"] not in ("running", "queued", "compensating"):
            return
    raise AssertionError(f"{id} never waits")


def _until(server: Server, id: str, status: str) -> None:
    wait_for(lambda: server.get(f"/workflows/{id}")["status"] == status, f"{id} is {status}")


def told(sql: psycopg.Connection, id: str) -> list[Any]:
    """What happened, without times and ids; what happens in parallel has no order."""
    rows = sql.execute(
        "select type, data ->> 'step', data ->> 'reason', data ->> 'signal' from amends.events where stream = %s",
        (f"saga-{id}",),
    ).fetchall()
    return sorted(rows, key=str)


def money(sql: psycopg.Connection, id: str) -> list[Any]:
    return sql.execute(
        "select replace(stream, %s, ''), version, type, data ->> 'amount' from amends.events"
        " where stream like 'account-' || %s || '-_' order by 1, 2",
        (id, id),
    ).fetchall()


@dataclass(frozen=True)
class Undisturbed:
    told: list[Any]
    money: list[Any]
    net: dict[str, int]
    points: list[str]


def undisturbed(server: Server, sql: psycopg.Connection) -> dict[str, Undisturbed]:
    found = {}
    for name, path in PATHS.items():
        id = f"{name}.undisturbed"
        assert drive(server, id, path)
        assert server.saga_when_back(id)["status"] in (path.status, "waiting")
        _until(server, id, path.status)
        rows = sql.execute(
            "select min(version) from amends.events where stream = %s group by transaction_id order by 1",
            (f"saga-{id}",),
        ).fetchall()
        points = [str(version) for (version,) in rows]
        found[name] = Undisturbed(told(sql, id), money(sql, id), net_effects(sql, id), points)
    return found


@pytest.mark.timeout(400)
@pytest.mark.parametrize("executor", ["the same", "another"])
def test_a_kill_at_any_commit_changes_nothing(database_18: URL, sql: psycopg.Connection, executor: str) -> None:
    with (
        Holder.on(database_18) as holder,
        Server(database_18, **MANY) as server,
        Server(database_18, approval_limit=100) as other,
    ):
        server.start()
        expected = undisturbed(server, sql)
        points = [
            Point(path, at, landed) for path, run in expected.items() for at in run.points for landed in (False, True)
        ]
        assert len(points) > 60
        holder.hold([point.what for point in points])
        with ThreadPoolExecutor(len(points)) as clients:
            driving = [clients.submit(drive, server, point.id, PATHS[point.path]) for point in points]
            wait_for(lambda: holder.held() == {point.what for point in points}, "every saga is held at its point", 120)
            if executor == "another":
                other.start()
            server.kill()
            for future in driving:
                future.result()
        holder.lose([point.what for point in points if not point.landed])
        holder.release([point.what for point in points])
        survivor = other if executor == "another" else server.start()
        with ThreadPoolExecutor(16) as clients:
            again = list(clients.map(lambda point: drive(survivor, point.id, PATHS[point.path]), points))
        assert all(again)
        for point in points:
            path, run = PATHS[point.path], expected[point.path]
            _until(survivor, point.id, path.status)
            assert told(sql, point.id) == run.told, point
            assert money(sql, point.id) == run.money, point
            assert net_effects(sql, point.id) == run.net, point
        assert doubled_keys(sql) == 0
