"""A crowd of sagas whose code does the worst, among good ones: everything ends where a list shows it, and in time."""

from __future__ import annotations

import contextlib
import random
import re
import sys
from collections import Counter
from typing import Any

import httpx
import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.urls import conninfo
from tests.example.crash.code.hostile import DOES, RAISED, RETURNED, SQL
from tests.example.server import Server, wait_for

COMMAND = (sys.executable, "-m", "tests.example.crash.code.hostile")
ENDS = ("completed", "compensated", "stuck")

EVIL = sorted({*RAISED, *DOES})
PLACES: dict[str, list[str]] = {
    "prepare": [*EVIL, *SQL, "sql-swallowed", "tx-later"],
    "decide": [f"{when} {what}" for when in ("decide", "evolve") for what in RAISED] + ["nan", "nul\0"[:3]],
    "call": sorted({*EVIL, *RETURNED}),
    "run": sorted({*EVIL, *RETURNED}),
    "undo": EVIL,
    "tidy": [*EVIL, *SQL],
    "shown": sorted(RAISED),
}
LEAVES_THE_LOOP: dict[str, list[str]] = {
    place: ["callback-exit", "loop-stop"] for place in ("prepare", "call", "run", "undo", "tidy")
}
"""What makes the event loop itself stop, for a moment, at every place."""
LIMITS = {"prepare": 1, "call": 3, "undo": 5, "tidy": 1}
"""How often code may be run at a place before a person is asked, or before it turns back."""
AGAIN = {"sql-lock": 25}
"""What may be run again because of the database."""


def scripts(seed: int, count: int, places: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Scripts with one or several places that do something; each place and thing alone first, as far as that goes."""
    dice = random.Random(seed)
    alone = [(place, what) for place, whats in places.items() for what in whats]
    dice.shuffle(alone)
    found: list[dict[str, Any]] = []
    for number in range(count):
        chosen: dict[str, Any] = dict([alone[number % len(alone)]])
        if dice.random() < 0.4:
            chosen |= {place: dice.choice(whats) for place, whats in dice.sample(sorted(places.items()), 2)}
        if {"undo", "tidy"} & chosen.keys():
            chosen["fails"] = True
        found.append({"id": f"h-{seed}-{number}", **chosen})
    return found


def status(sql: psycopg.Connection) -> dict[str, str]:
    return dict(sql.execute("select id, status from amends.sagas").fetchall())


def runs(said: str) -> Counter[tuple[str, str]]:
    """How often code was run, by place and saga."""
    return Counter(re.findall(r"INFO hostile: (\w+) (\S+)", said))


def shouted(said: str, id: str) -> list[str]:
    """The lines at WARNING or above whose text names a saga, but for those that say that a slow machine did not go on.

    Fields behind the text name it where its code made something else worth a warning.
    """
    aloud = re.compile(rf"Z (WARNING|ERROR|CRITICAL) (?!\S+ The event loop was blocked).*\b{id}\b")
    return [line for line in said.splitlines() if aloud.search(re.sub(r" \[[^\[]*saga=[^\[]*\]$", "", line))]


def stuck(sql: psycopg.Connection, id: str) -> int:
    found = sql.execute(
        "select count(*) from amends.events where stream = %s and type = 'saga-stuck'", (f"saga-{id}",)
    ).fetchone()
    assert found is not None
    return int(found[0])


def waited_in_vain(id: str, said: str) -> int:
    """How often code of a saga got no connection, or no answer, in time: others of the crowd lock a table that all
    read, and stop the event loop."""
    return len(
        re.findall(rf"{id}(?: \w+: interrupted, and runs again|: a task that \w+ made has failed with Pool)", said)
    )


def beyond_limits(crowd: list[dict[str, Any]], counted: Counter[tuple[str, str]], said: str) -> list[str]:
    """What was run more often than it may be; a transaction that waited in vain for a connection runs again."""
    return [
        f"{place} ran {counted[place, script['id']]} times: {script}"
        for script in crowd
        for place, limit in LIMITS.items()
        if counted[place, script["id"]] > AGAIN.get(script.get(place, ""), limit) + waited_in_vain(script["id"], said)
    ]


def not_said_once(crowd: list[dict[str, Any]], said: str, sql: psycopg.Connection) -> list[str]:
    """Sagas that the log does not name once, and aloud, for each time that they became stuck."""
    found = [(script, shouted(said, script["id"]), stuck(sql, script["id"])) for script in crowd]
    return [
        f"stuck {times} times: {script}, and said: {lines}" for script, lines, times in found if len(lines) != times
    ]


def everybody_is_said_once(crowd: list[dict[str, Any]], server: Server, sql: psycopg.Connection) -> None:
    """The log says it just after the commit that a list shows."""
    with contextlib.suppress(AssertionError):
        wait_for(lambda: not not_said_once(crowd, server.said, sql), "the log says it too", 10)
    wrong = not_said_once(crowd, server.said, sql)
    assert not wrong


def check(server: Server, database: URL, seed: int, count: int, places: dict[str, list[str]] = PLACES) -> None:
    """Start a crowd and good sagas among them, and look how each ends; then let persons decide, and look again."""
    crowd = scripts(seed, count, places)
    with psycopg.connect(conninfo(database), autocommit=True) as sql, httpx.Client(base_url=server.base) as client:
        for number, script in enumerate(crowd):
            answer = client.post(
                "/workflows/scripted", json=script, headers={"Idempotency-Key": script["id"]}, timeout=60
            )
            assert answer.status_code == 202, (script, answer.text)
            if number % 4 == 0:
                assert server.place_order(f"good-{seed}-{number}").status_code == 202
        everybody = {script["id"] for script in crowd}
        wait_for(
            lambda: all(known in ENDS for id, known in status(sql).items()),
            "everybody ends where a list shows it",
            150,
        )
        known = status(sql)
        assert {known[id] for id in known if id.startswith("good-")} == {"completed"}
        assert not beyond_limits(crowd, runs(server.said), server.said)
        everybody_is_said_once(crowd, server, sql)
        for number, id in enumerate(sorted(id for id in everybody if known[id] == "stuck")):
            act = "retry" if number % 2 else "skip"
            answer = client.post(f"/workflows/{id}/{act}", json={"reason": "tried"}, timeout=60)
            assert answer.status_code == 202, answer.text
        wait_for(lambda: all(known in ENDS for known in status(sql).values()), "everybody ends again", 150)
        everybody_is_said_once(crowd, server, sql)
        wait_for(lambda: client.get("/readyz").json()["running"] == 0, "no place is lost")
        assert server.place_order(f"last-{seed}").status_code == 202
        assert server.saga(f"last-{seed}")["status"] == "completed"


def test_a_hostile_crowd_harms_nobody_but_itself(database_18: URL) -> None:
    with Server(database_18, running=40, lease_seconds=10) as server:
        server.start(command=COMMAND)
        check(server, database_18, seed=12, count=240)
        assert server.stop() == 0


def test_code_that_stops_the_event_loop_loses_nobody(database_18: URL) -> None:
    """What begins while the loop stands still belongs to it all the same: DBOS has another one for such times."""
    with Server(database_18, running=40, lease_seconds=10) as server:
        server.start(command=COMMAND)
        check(server, database_18, seed=101, count=120, places=LEAVES_THE_LOOP)
        assert server.stop() == 0


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(10))
def test_hostile_crowds_harm_nobody_but_themselves(database_18: URL, seed: int) -> None:
    with Server(database_18, running=40, lease_seconds=10) as server:
        server.start(command=COMMAND)
        check(server, database_18, seed, count=600)
        assert server.stop() == 0


@pytest.mark.parametrize("what", ["exit", "own", "unspeakable", "value", "cancelled"])
@pytest.mark.parametrize("place", ["codec", "reference"])
def test_code_that_runs_before_a_saga_starts_is_answered_with_a_problem(hostile: Server, place: str, what: str) -> None:
    answer = hostile.post("/workflows/scripted", {"id": "x", place: what})
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert hostile.get("/healthz")["status"] == "ok"


@pytest.mark.parametrize("what", ["nul", "half", "object", "text", "nan"])
def test_a_reference_that_cannot_be_kept_is_refused(hostile: Server, what: str) -> None:
    answer = hostile.post("/workflows/scripted", {"id": "x", "reference": what})
    assert answer.status_code == 422, answer.text
    assert "the reference of scripted" in answer.json()["detail"]


def test_a_body_that_is_too_large_is_refused(hostile: Server) -> None:
    assert hostile.post("/workflows/scripted", {"id": "x" * 2_000_000}).status_code == 413


@pytest.fixture(scope="module")
def hostile(postgres_18: Any) -> Any:
    from tests.amends.harness.databases import drop_database, fresh_database

    url = fresh_database(postgres_18)
    with Server(url) as server:
        yield server.start(command=COMMAND)
    drop_database(postgres_18, url)
