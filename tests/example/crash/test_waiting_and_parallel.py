"""SIGKILL at every commit of trips, transfers and families of them: branches in parallel, signals, approvals, cancels
and children lose nothing.

As in test_commit_points: one saga is held just before each of its commits, then the server is killed. Half of the held
commits never happen, the other half after the death of the one who sent them. Clients then ask again, by the same key.
What is lost with the same executor is carried out with another one, and the other way round; `./run soak` tries all.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import URL

from tests.amends.harness.holding import CommitHolder, kill_at, patient
from tests.example.crash.ledger import doubled_keys, net_effects, unanswered
from tests.example.server import Server, http, wait_for

SETTINGS = {"approval_limit": 100, "provider_calls": 8}
MANY = {"connections": 150, "readers": 40} | SETTINGS
MEMBER = {"traveller": "Ann", "flight": "LH1", "hotel": "Ritz", "car": "Mini"}
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
    "group": Path("book-group-trip", {"price": 5, "members": [MEMBER]}, None, "completed"),
    "too-dear": Path("book-group-trip", {"price": 5000, "members": [MEMBER]}, None, "compensated"),
    "called-back": Path(
        "book-group-trip", {"price": 500, "members": [MEMBER]}, ("cancel", {"reason": "no"}), "compensated"
    ),
}


@dataclass(frozen=True)
class Point:
    """A commit of a saga or of one of its children: `child` is what comes after the saga's own id."""

    path: str
    number: int
    child: str
    version: int
    landed: bool

    @property
    def id(self) -> str:
        return f"{self.path}.{self.number}.{'landed' if self.landed else 'lost'}"

    @property
    def what(self) -> str:
        return f"saga-{self.id}{self.child} {self.version}"


def body(path: Path, id: str) -> dict[str, Any]:
    if path.workflow == "book-trip":
        return path.input | {"trip_id": id}
    ends = {"from_account": f"{id}-a", "to_account": f"{id}-b"}
    name = "transfer_id" if path.workflow == "transfer-money" else "group_id"
    return path.input | ends | {name: id, "currency": "EUR"}


def post(server: Server, path: str, body: Any, key: str) -> httpx.Response:
    """Ask, and again if the server says to try again: what is held in its database takes its time."""
    while (answer := server.post(path, body, Idempotency_Key=key)).status_code == 503:
        pass
    return answer


def open_accounts(server: Server, id: str) -> None:
    for account, balance in ((f"{id}-a", 1000), (f"{id}-b", 0)):
        opening = {"account_id": account, "owner": "Ann", "currency": "EUR", "opening_balance": balance}
        post(server, "/accounts", opening, f"open.{account}")


def drive(server: Server, id: str, path: Path) -> bool:
    """What a client does with one saga; False if it got no answer. The same again after a restart."""
    try:
        if path.workflow != "book-trip":
            open_accounts(server, id)
        started = post(server, f"/workflows/{path.workflow}", body(path, id), id)
        assert started.status_code == 202, started.text
        if path.told:
            _when_it_waits(server, id)
            if path.workflow == "book-group-trip":
                _when_it_waits(server, f"{id}.transfer-money.1.0")
            where, what = path.told
            told = post(server, f"/workflows/{id}/{where}", what, f"tell.{id}")
            assert told.status_code in (202, 409), told.text
    except httpx.TransportError:
        return False
    return True


def drive_to(server: Server, point: Point) -> bool:
    return drive(server, point.id, PATHS[point.path])


def until_answered(server: Server, point: Point) -> None:
    wait_for(lambda: drive_to(server, point), f"{point.id} is answered")


def _when_it_waits(server: Server, id: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found = http.get(f"{server.base}/workflows/{id}", params={"wait": 1}, timeout=60).json()
        if found["status"] not in (404, 503, "running", "queued", "compensating"):
            return
        time.sleep(0.02)
    raise AssertionError(f"{id} never waits")


def _until(server: Server, id: str, status: str) -> None:
    wait_for(lambda: server.get(f"/workflows/{id}")["status"] == status, f"{id} is {status}")


def told(sql: psycopg.Connection, id: str) -> list[Any]:
    """What happened to a saga and its children, without times and ids; what happens in parallel has no order.

    Nor is it counted that a saga waited for a child: after a crash that may have ended already.
    """
    rows = sql.execute(
        "select stream, type, data ->> 'step', data ->> 'reason', data ->> 'signal' from amends.events"
        " where stream = %(own)s or stream like %(own)s || '.%%.%%.%%'"
        " except all select stream, type, null, null, data ->> 'signal' from amends.events"
        " where stream = %(own)s and type = 'saga-waiting' and data ->> 'signal' like 'child %%'",
        {"own": f"saga-{id}"},
    ).fetchall()
    return sorted([tuple(part and part.replace(id, "ID") for part in row) for row in rows], key=str)


def net(sql: psycopg.Connection, id: str) -> list[dict[str, int]]:
    return [net_effects(sql, reference) for reference in (id, f"{id}-1")]


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
    net: list[dict[str, int]]
    points: list[tuple[str, int]]


def undisturbed(server: Server, sql: psycopg.Connection, workflows: tuple[str, ...]) -> dict[str, Undisturbed]:
    found = {}
    for name, path in PATHS.items():
        if path.workflow not in workflows:
            continue
        id = f"{name}.undisturbed"
        assert drive(server, id, path)
        assert server.saga_when_back(id)["status"] in (path.status, "waiting")
        _until(server, id, path.status)
        points = sql.execute(
            "select distinct on (transaction_id) replace(stream, %(own)s, ''), version from amends.events"
            " where stream = %(own)s or stream like %(own)s || '.%%.%%.%%' order by transaction_id, position",
            {"own": f"saga-{id}"},
        ).fetchall()
        found[name] = Undisturbed(told(sql, id), money(sql, id), net(sql, id), points)
    return found


def points_of(expected: dict[str, Undisturbed], odd: str) -> list[Point]:
    """Every commit: the first, third, … are `odd` (lost or landed), the others are not."""
    return [
        Point(path, number, *at, landed=(odd == "landed") == (number % 2 == 1))
        for path, run in expected.items()
        for number, at in enumerate(run.points, start=1)
    ]


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("executor", "odd"),
    [
        ("the same", "lost"),
        ("another", "landed"),
        pytest.param("the same", "landed", marks=pytest.mark.soak),
        pytest.param("another", "lost", marks=pytest.mark.soak),
    ],
)
@pytest.mark.parametrize("workflows", [("book-trip", "transfer-money"), ("book-group-trip",)])
def test_a_kill_at_any_commit_changes_nothing(
    database_18: URL, sql_18: psycopg.Connection, workflows: tuple[str, ...], executor: str, odd: str
) -> None:
    with (
        CommitHolder.on(database_18) as holder,
        Server(patient(database_18), **MANY) as server,
        Server(database_18, **SETTINGS) as other,
    ):
        server.start()
        expected = undisturbed(server, sql_18, workflows)
        points = points_of(expected, odd)
        assert len(points) > 30
        survivor, _ = kill_at(holder, points, drive_to, server, other if executor == "another" else None)
        with ThreadPoolExecutor(16) as clients:
            list(clients.map(lambda point: until_answered(survivor, point), points))
        for point in points:
            _until(survivor, point.id, PATHS[point.path].status)
        slow = unanswered(sql_18)
        late = {point.id for point in points if any(f"{id}.".startswith(f"{point.id}.") for id in slow)}
        assert len(late) < len(points) / 2, "most were answered in time"
        for point in points:
            run = expected[point.path]
            assert point.id in late or told(sql_18, point.id) == run.told, point
            assert money(sql_18, point.id) == run.money, point
            assert net(sql_18, point.id) == run.net, point
        assert doubled_keys(sql_18) == 0
