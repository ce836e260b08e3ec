"""Metrics of sagas at a real server: what was started and ended, what waits and is queued, and what needs a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families as families
from sqlalchemy import URL

from app.amends.http.saga_metrics import MOST_CALLERS, MOST_CAUSES_SHOWN, sagas_by_cause, waiting_and_queued
from app.amends.postgres.connections.pool import Pool
from app.amends.postgres.roles import as_service
from app.amends.postgres.statements.reader import Reader
from tests.example.server import Server, http, order, wait_for

ORDERS = {"saga": "place-order", "version": "1"}


def samples(text: str, name: str) -> Iterator[tuple[dict[str, str], float]]:
    """Each series of a metric, by its labels, and its value."""
    return ((each.labels, each.value) for family in families(text) for each in family.samples if each.name == name)


def value(server: Server, name: str, **labels: str) -> float | None:
    """The value of a series, None if there is none."""
    text = http.get(f"{server.base}/metrics").text
    return next((value for named, value in samples(text, name) if named == labels), None)


def test_each_start_and_each_end_is_counted_by_one_of_the_servers(database_18: URL) -> None:
    with Server(database_18) as one, Server(database_18) as other:
        servers = [one.start(), other.start()]
        assert value(one, "amends_saga_starts_total", **ORDERS) == 0, "it is there before the first one"
        for number in range(4):
            token = "tok_declined" if number == 3 else "tok_ok"
            servers[number % 2].place_order(f"o-{number}", token=token)
            servers[number % 2].place_order(f"o-{number}", token=token)
        for number in range(4):
            one.saga(f"o-{number}")

        def total(name: str, **labels: str) -> float:
            return sum(value(each, name, **labels) or 0 for each in servers)

        assert total("amends_saga_starts_total", **ORDERS) == 4
        assert total("amends_saga_ends_total", **ORDERS, outcome="completed") == 3
        assert total("amends_saga_ends_total", **ORDERS, outcome="compensated") == 1


def test_what_is_queued_is_shown_by_type_and_by_caller(database_18: URL) -> None:
    with Server(database_18, running=1) as server:
        server.start().place_order("first", sku="SLOW-boat")
        for number in range(3):
            id = f"queued-{number}"
            server.post("/workflows/place-order", order(id), Idempotency_Key=id, X_Actor="ann")
        wait_for(lambda: value(server, "amends_caller_queued_starts", caller="ann") in (1, 2, 3), "they are counted")
        assert (value(server, "amends_queued_starts", **ORDERS) or 0) >= 1
        assert (value(server, "amends_queue_depth") or 0) >= 1
        assert (value(server, "amends_queued_starts_oldest_seconds", **ORDERS) or -1) >= 0
        assert value(server, "amends_queued_starts_more") == 0
        for number in range(3):
            server.saga(f"queued-{number}")
        wait_for(lambda: value(server, "amends_queue_depth") == 0, "none is queued any more")
        assert value(server, "amends_caller_queued_starts", caller="ann") is None


def test_what_sagas_wait_for_is_shown(database_18: URL) -> None:
    with Server(database_18, approval_limit=10) as server:
        server.start()
        for account in ("a", "b"):
            opened = {"account_id": account, "owner": "Ann", "currency": "EUR", "opening_balance": 100}
            assert server.post("/accounts", opened).status_code == 201
        assert value(server, "amends_waiting_sagas", reason="signal") == 0
        transfer = {"transfer_id": "t-1", "from_account": "a", "to_account": "b", "amount": 50, "currency": "EUR"}
        server.post("/workflows/transfer-money", transfer, Idempotency_Key="t-1")
        server.saga("t-1")
        wait_for(lambda: value(server, "amends_waiting_sagas", reason="signal") == 1, "one waits for its approval")
        assert {reason: value(server, "amends_waiting_sagas", reason=reason) for reason in ("timer", "child")} == {
            "timer": 0,
            "child": 0,
        }


STUCK = """
with causes as (
    insert into amends.causes (id, kind, name, version, step, error)
    select amends.cause_id('stuck', 'buy', 1, 'charge', null, 'error ' || n), 'stuck', 'buy', 1, 'charge', 'error ' || n
      from generate_series(1, %(causes)s) as n returning id, error
)
insert into amends.sagas (id, name, version, root, reference, status, correlation_id, request, cause)
select c.id || '-' || m, 'buy', 1, 'r', 'r', 'stuck', 'c', 'r', c.id
  from causes as c cross join generate_series(1, case c.error when 'error 7' then 5 else 1 end) as m
"""
QUEUED = """
insert into amends.sagas (id, name, version, root, reference, status, correlation_id, request, actor)
select n || '-' || m, 'buy', 1, 'r', 'r', 'queued', 'c', 'r', 'caller-' || n
  from generate_series(1, %(callers)s) as n cross join generate_series(1, case n when 7 then 5 else 1 end) as m
"""


async def read(part: Any, url: URL, name: str) -> dict[tuple[str, ...], float]:
    """The series of a metric by the values of their labels."""
    registry = CollectorRegistry()
    async with Pool(as_service(url), 1) as readers:
        await part(registry, Reader(readers))
    found = [each for family in registry.collect() for each in family.samples if each.name == name]
    return {tuple(each.labels.values()): each.value for each in found}


async def test_there_are_so_many_series_of_causes_at_most(database_18: URL, sql_18: psycopg.Connection) -> None:
    sql_18.execute(STUCK, {"causes": MOST_CAUSES_SHOWN + 30})
    found = await read(sagas_by_cause, database_18, "amends_sagas_needing_a_person")
    assert len(found) == MOST_CAUSES_SHOWN + 1
    assert found[("other",) * 5] == 30
    (largest,) = [labels for labels, count in found.items() if count == 5]
    assert largest[:4] == ("stuck", "buy", "1", "charge")
    assert largest[4].startswith("c-")


async def test_there_are_so_many_series_of_callers_at_most(database_18: URL, sql_18: psycopg.Connection) -> None:
    sql_18.execute(QUEUED, {"callers": MOST_CALLERS + 10})
    found = await read(waiting_and_queued, database_18, "amends_caller_queued_starts")
    assert len(found) == MOST_CALLERS + 1
    assert (found[("other",)], found[("caller-7",)]) == (10, 5)
    ages = await read(waiting_and_queued, database_18, "amends_caller_queued_starts_oldest_seconds")
    assert set(ages) == set(found)
    by_type = await read(waiting_and_queued, database_18, "amends_queued_starts")
    assert by_type == {("buy", "1"): MOST_CALLERS + 14}
