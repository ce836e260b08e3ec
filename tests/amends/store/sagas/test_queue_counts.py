"""What is queued and what waits is counted up to a limit, by indexes: of a million sagas as quickly as of a few."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo
from app.amends.store.queue import SQL, long_queued, queue_depth, queued_starts, waiting_by_reason
from app.amends.store.sagas.causes import MOST_COUNTED
from tests.amends.harness.databases import drop_database, fresh_database
from tests.amends.store.events.test_plans import EXPLAIN, Asked, require_modest
from tests.amends.store.harness.large import fill
from tests.amends.store.harness.sagas import store

Sql = psycopg.Connection
COUNT = 300_000

SAGA = """
insert into amends.sagas (id, name, version, root, reference, status, correlation_id, request, waiting_for, actor,
                          provider, started_at)
select %(name)s || '-' || n, %(name)s, 1, 'r', 'r', %(status)s, 'c', 'r', %(waiting_for)s, %(actor)s, %(provider)s,
       clock_timestamp() - make_interval(secs => %(age)s)
  from generate_series(1, %(count)s) as n
"""
QUEUED = """
insert into dbos.workflow_status (workflow_uuid, status, name, created_at, updated_at, queue_name, priority)
select s.id, 'ENQUEUED', s.name, 1, 1, 'amends', 0 from amends.sagas as s where s.status = 'queued'
"""


def add(sql: Sql, name: str, count: int, status: str, age: float = 0.0, **more: Any) -> None:
    given = {"waiting_for": None, "actor": None, "provider": None} | more
    sql.execute(SAGA, {"name": name, "count": count, "status": status, "age": age} | given)


async def test_what_is_queued_is_counted_by_type_and_caller(database: URL, sql: Sql) -> None:
    add(sql, "buy", 3, "queued", age=600, actor="ann")
    add(sql, "sell", 2, "queued", actor="ann")
    add(sql, "rent", 1, "queued")
    add(sql, "lend", 5, "running", actor="ann")
    sql.execute(QUEUED)
    async with store(database) as it:
        found = await queued_starts(it.reader)
        assert {(each.name, each.version, each.actor): each.count for each in found} == {
            ("buy", 1, "ann"): 3,
            ("sell", 1, "ann"): 2,
            ("rent", 1, ""): 1,
        }
        assert found[0].seconds >= 600
        assert await queue_depth(it.reader) == 6
        told = long_queued(found)
        assert told is not None
        assert told.startswith("6 starts wait for a server, the oldest since ")
        assert told.endswith(": 3 of buy:1, 2 of sell:1, 1 of rent:1")
        assert long_queued(found[1:]) is None, "nothing of that is queued for long"


async def test_what_sagas_wait_for_is_counted_by_kind(database: URL, sql: Sql) -> None:
    signals = ("", "!", "approval", "child", "timers", "time", "undone", "zebra", "\N{GRINNING FACE}")
    for number, signal in enumerate(signals):
        add(sql, f"signal-{number}", 1, "waiting", waiting_for=signal)
    add(sql, "timer", 2, "waiting", waiting_for="timer")
    add(sql, "child", 3, "waiting", waiting_for="child c-1")
    add(sql, "undone", 1, "compensating", waiting_for="undone c-1")
    add(sql, "provider", 4, "running", provider="stock")
    add(sql, "stuck", 1, "stuck", waiting_for="approval")
    async with store(database) as it:
        found = await waiting_by_reason(it.reader)
        assert found == {"signal": len(signals), "timer": 2, "child": 4, "provider": 4, "brake": 0}


@pytest.fixture(scope="module")
def large(postgres_18: EmbeddedPostgres) -> Iterator[Sql]:
    url = fresh_database(postgres_18)
    with psycopg.connect(conninfo(url), autocommit=True) as sql:
        fill(sql, 1_000, COUNT)
        add(sql, "queued", 60_000, "queued", actor="batch")
        add(sql, "signal", 60_000, "waiting", waiting_for="approval")
        add(sql, "timer", 60_000, "waiting", waiting_for="timer")
        add(sql, "provider", 60_000, "running", provider="stock")
        sql.execute(QUEUED)
        sql.execute("vacuum analyze amends.sagas, dbos.workflow_status")
        yield sql
    drop_database(postgres_18, url)


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
@pytest.mark.parametrize(("name", "buffers"), [("queued_starts", 300), ("queue_depth", 1_500), ("waiting", 800)])
def test_no_more_is_read_than_is_counted(large: Sql, name: str, buffers: int, mode: str) -> None:
    with large.transaction(force_rollback=True):
        large.execute(f"set local plan_cache_mode = {mode}".encode())
        asked = Asked(SQL[name], {"limit": MOST_COUNTED}, buffers)
        (found,) = large.execute((EXPLAIN + asked.statement).encode(), asked.parameters, prepare=True).fetchall()
    require_modest(found[0][0]["Plan"], Asked(asked.statement, asked.parameters, buffers))
