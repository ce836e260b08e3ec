"""A saga of very many steps: it is shown by the page, and those who ask for it keep nobody else waiting."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo
from tests.amends.harness.databases import fresh_database
from tests.amends.harness.program import amends
from tests.example.server import Server, http

LENGTHEN = """
insert into amends.events (id, stream, version, type, schema_version, data, metadata)
select gen_random_uuid(), e.stream, e.version + n, 'step-completed', 1,
       jsonb_build_object('step', 'more', 'occurrence', n, 'kind', 'step', 'slot', 1000 + n, 'arguments', '',
                          'started_at', e.recorded_at, 'attempts', 1, 'result', null), e.metadata
  from (select * from amends.events where stream = 'saga-' || %s order by version desc limit 1) as e,
       generate_series(1, %s) as n
"""


@pytest.fixture(scope="module")
def url(postgres_18: EmbeddedPostgres) -> URL:
    return fresh_database(postgres_18)


@pytest.fixture(scope="module")
def server(url: URL) -> Iterator[Server]:
    with Server(url) as server:
        yield server.start()


def long_saga(server: Server, url: URL, id: str, more: int) -> int:
    """A saga that has ended, with so many steps more in its story; how many it has now."""
    body = {"order_id": id, "customer_id": "c", "currency": "EUR", "payment_token": "tok", "postcode": "10115"}
    server.post(
        "/workflows/place-order", body | {"lines": [{"sku": "a", "quantity": 1, "unit_price": 5}]}, Idempotency_Key=id
    )
    steps = len(server.saga(id)["steps"])
    with psycopg.connect(conninfo(url)) as connection:
        connection.execute(LENGTHEN, (id, more))
    return steps + more


def test_its_steps_are_shown_by_the_page(server: Server, url: URL) -> None:
    count = long_saga(server, url, "long-1", 730)
    page = server.get("/workflows/long-1")
    steps: list[Any] = page["steps"]
    assert len(steps) == 200
    while page["steps_next"] is not None:
        page = server.get("/workflows/long-1", steps_after=page["steps_next"])
        assert page["status"] == "completed"
        steps += page["steps"]
    assert [step["occurrence"] for step in steps if step["name"] == "more"] == list(range(1, 731))
    assert len(steps) == count
    assert len({(step["name"], step["occurrence"]) for step in steps}) == count


def test_a_page_that_ends_with_the_last_step_is_the_last(server: Server, url: URL) -> None:
    count = long_saga(server, url, "long-2", 195)
    page = server.get("/workflows/long-2")
    assert (len(page["steps"]), page["steps_next"]) == (min(count, 200), None if count <= 200 else page["steps_next"])
    assert server.get("/workflows/long-2", steps_after=10**6)["steps"] == []


@pytest.mark.parametrize("token", ["-1", "x", "", "99999999999999999999"])
def test_another_token_is_refused_by_its_name(server: Server, token: str) -> None:
    answer = http.get(server.base + "/workflows/long-2", params={"steps_after": token})
    assert answer.status_code == 422
    assert "steps_after" in answer.text


def test_the_command_line_shows_all_of_it(server: Server, url: URL) -> None:
    count = long_saga(server, url, "long-3", 1200)
    shown = amends("workflows", "show", "long-3", "--json", on=url)
    assert len(json.loads(shown.stdout)["steps"]) == count
    told = amends("workflows", "show", "long-3", "--events", on=url).stdout
    assert sum("step-completed" in line for line in told.splitlines()) == count
