"""Trips on a running server: three bookings at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from app.amends.postgres.embedded.server import EmbeddedPostgres
from tests.amends.harness.databases import fresh_database
from tests.example.crash.ledger import net_effects
from tests.example.server import Server, problem


@pytest.fixture(scope="module")
def server(postgres_18: EmbeddedPostgres) -> Iterator[Server]:
    with Server(fresh_database(postgres_18)) as server:
        yield server.start()


def trip(id: str, **changes: Any) -> dict[str, Any]:
    return {"trip_id": id, "traveller": "Ann Example", "flight": "LH1", "hotel": "Ritz", "car": "Mini"} | changes


def book(server: Server, **changes: Any) -> Any:
    """A trip once it rests."""
    id = f"t-{uuid4().hex[:8]}"
    assert server.post("/workflows/book-trip", trip(id, **changes), Idempotency_Key=id).status_code == 202
    return server.saga(id)


def net(server: Server, id: str) -> dict[str, int]:
    with psycopg.connect(server.environment["DATABASE_URL"]) as sql:
        return net_effects(sql, id)


def test_a_trip_is_booked_at_once(server: Server) -> None:
    saga = book(server, flight="SLOW-1", hotel="SLOW-2", car="SLOW-3")
    assert saga["status"] == "completed"
    assert net(server, saga["id"]) == {"book": 3}
    assert [step["name"] for step in saga["steps"]] == ["book_flight", "book_hotel", "book_car"]
    began = [step["started_at"] for step in saga["steps"]]
    ended = [step["finished_at"] for step in saga["steps"]]
    assert max(began) < min(ended), "they ran at the same time"


@pytest.mark.parametrize("part", ["flight", "hotel", "car"])
def test_a_part_that_is_sold_out_releases_the_others(server: Server, part: str) -> None:
    slow = {other: f"SLOW-{other}" for other in ("flight", "hotel", "car") if other != part}
    saga = book(server, **slow, **{part: "SOLD-OUT"})
    assert saga["status"] == "compensated"
    assert saga["reason"] == f"The {part} SOLD-OUT is sold out."
    assert net(server, saga["id"]) == {}
    assert {step["name"]: step["status"] for step in saga["steps"]} == {
        f"book_{each}": "refused" if each == part else "compensated" for each in ("flight", "hotel", "car")
    }


def test_a_wrong_trip_is_named(server: Server) -> None:
    said = problem(server.post("/workflows/book-trip", trip("x", hotel="")), 422, "invalid")
    assert said["errors"][0]["field"] == "hotel"
