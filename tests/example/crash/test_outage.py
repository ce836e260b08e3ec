"""An outage of a provider, with a server killed in its middle: every order ends as it would have without it."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo
from tests.amends.harness.databases import fresh_database
from tests.example.front_door import FrontDoor, Mode
from tests.example.server import Server, wait_for

CALLS = 8


def outage(postgres: EmbeddedPostgres, mode: Mode, orders: int, seconds: float, patience: float) -> None:
    """Orders before and in an outage of so many seconds; one of two servers is killed and starts again in it."""
    books, url = fresh_database(postgres), fresh_database(postgres)
    settings = {"provider_calls": CALLS, "running": 30, "lease_seconds": 3}
    with Server(books) as provider, FrontDoor(provider.start().port) as door:
        with (
            Server(url, provider_url=door.url, **settings) as one,
            Server(url, provider_url=door.url, **settings) as two,
        ):
            one.start()
            two.start()
            begins, cards = time.monotonic(), ("tok_ok", "tok_declined", "tok_ok", "tok_ok")
            for number in range(orders):
                if number == orders // 4:
                    door.turn(mode)
                    begins = time.monotonic()
                if number == orders // 2:
                    one.kill()
                    one.start()
                server = (one, two)[number % 2]
                assert server.place_order(f"o-{number}", payment_token=cards[number % 4]).status_code == 202
            wait_for(lambda: two.get("/readyz")["running"] <= 10, "who waits gives its place back")
            wait_for(lambda: len(waiting(two)) > orders // 3, "most of them wait")
            assert {wait["kind"] for each in waiting(two) for wait in each["waits"]} == {"provider"}
            assert {each["status"] for each in waiting(two)} <= {"running", "compensating"}
            wait_for(lambda: time.monotonic() - begins > seconds, "the outage lasts", seconds + 10)
            asked = door.calls[mode]
            door.turn("open")
            wait_for(lambda: open_orders(url) == 0, "every order ends", patience)
            ended = {each["id"]: each for each in all_orders(two)}
            for number in range(orders):
                status = "compensated" if number % 4 == 1 else "completed"
                assert ended[f"o-{number}"]["status"] == status, ended[f"o-{number}"]
        limit = 2 * 3 * (seconds + 15) + 100
        assert asked <= limit, "each of three was asked by one call a second of each server, and by who found it down"
        assert max(door.most.values()) <= 2 * CALLS
        effects_are_right(books, orders)


def waiting(server: Server) -> list[Any]:
    return [each for each in all_orders(server) if each["waits"]]


def open_orders(url: URL) -> int:
    with psycopg.connect(conninfo(url)) as sql:
        found = sql.execute("select count(*) from amends.sagas where finished_at is null").fetchone()
    assert found is not None
    return int(found[0])


def all_orders(server: Server) -> list[Any]:
    found, cursor = [], None
    while True:
        page = server.get("/workflows", limit=500, **({"cursor": cursor} if cursor else {}))
        found += page["workflows"]
        cursor = page["next"]
        if cursor is None:
            return found


def effects_are_right(books: URL, orders: int) -> None:
    """One charge for each order that was paid, one courier, no hold that is left of one that was not."""
    with psycopg.connect(conninfo(books)) as sql:
        rows = sql.execute(
            "select reference, array_agg(operation order by operation) from sandbox.effects group by reference"
        ).fetchall()
    done: dict[str, list[str]] = dict(rows)
    for number in range(orders):
        wanted = ["hold", "release"] if number % 4 == 1 else ["book", "charge", "hold"]
        assert done[f"o-{number}"] == wanted, f"o-{number}"


@pytest.mark.timeout(170)
@pytest.mark.parametrize("mode", ["refuses", "unavailable", "silent"])
def test_orders_end_as_they_would_have(postgres_18: EmbeddedPostgres, mode: Mode) -> None:
    outage(postgres_18, mode, 60, 8, 60)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", ["refuses", "unavailable", "silent"])
def test_five_hundred_orders_and_five_minutes(postgres_18: EmbeddedPostgres, mode: Mode) -> None:
    outage(postgres_18, mode, 500, 300, 300)
