"""What a step waits for outside of its own time: a database that is away, full, locked or lacks a right of ours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.connections.pool import Pool
from app.amends.postgres.roles import as_service
from app.amends.postgres.sqlstates import CONTENDED_TRIES
from app.amends.postgres.statements.reader import Reader
from app.amends.postgres.urls import conninfo
from app.amends.store.sagas.transactions import PostgresTransaction
from tests.amends.business.order import orders
from tests.amends.store.harness.sagas import started, store
from tests.amends.store.harness.steps import FAR, HOLD, Body, Ran, left, ran, swallowing
from tests.amends.store.harness.trouble import limited, missing, trouble, until
from workflows.amends.ports.execution_log import Committed

__all__ = ["trouble"]

Sql = psycopg.Connection


async def loading(one: PostgresTransaction) -> None:
    await one.load(orders, "1")


async def executing(one: PostgresTransaction) -> None:
    await one.execute(HOLD, None)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.amends.store.sagas.transactions.PATIENCE", 0.02)


@contextmanager
def events_locked(url: URL) -> Iterator[None]:
    with psycopg.connect(conninfo(url)) as holder:
        holder.execute("lock table amends.events in access exclusive mode")
        yield


@pytest.mark.usefixtures("impatient")
async def test_a_load_that_gets_no_answer_is_no_time_of_the_step(database: URL, trouble: Sql) -> None:
    async with store(database) as it, store(limited(database, lock_timeout="10ms")) as other:
        saga = await started(it)
        for body in (loading, swallowing(loading)):
            with events_locked(database):
                came = await ran(other, saga, body)
                assert (came.runs, came.tries) == (FAR, None)
        with missing(trouble, "table"):
            came = await ran(it, saga, loading)
            assert (came.runs, came.tries) == (FAR, None)
        assert await ran(other, saga, loading) == Ran(1, Committed())


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("body", [loading, executing])
async def test_a_pool_that_is_full_is_waited_for_outside_of_the_step(database: URL, trouble: Sql, body: Body) -> None:
    async with store(database) as it, Pool(as_service(database), 1) as single:
        saga, reader = await started(it), Reader(single)
        async with single.connection():
            came = await ran(it, saga, body, reader=reader)
            assert (came.runs, came.tries) == (FAR, None)
        assert await ran(it, saga, body, reader=reader) == Ran(1, Committed())


@pytest.mark.parametrize(
    ("patience", "brief", "took", "tries"),
    [(0.0, 0.0, 0.0, [None]), (60.0, 0.0, 0.0, [CONTENDED_TRIES]), (0.0, 0.0, 60.0, [CONTENDED_TRIES]), (0, 60, 0, [])],
    ids=["waits only", "waits shortly", "does something else before", "waits no longer than ever"],
)
async def test_a_step_whose_time_ends_while_it_waits_for_the_database_runs_again(
    database: URL,
    trouble: Sql,
    monkeypatch: pytest.MonkeyPatch,
    patience: float,
    brief: float,
    took: float,
    tries: list[int | None],
) -> None:
    async with store(database) as it:
        saga = await started(it)
        with events_locked(database):
            async with PostgresTransaction(it.writer, it.reader, it.loader, saga, "me") as one:
                one._began = time.monotonic() - took
                load = asyncio.create_task(one.load(orders, "1"))
                await until(lambda: _waits(trouble))
                if not took:  # what came before the wait is no part of it, however slow the machine is
                    one._began = time.monotonic()
                monkeypatch.setattr("app.amends.store.sagas.transactions.PATIENCE", patience)
                monkeypatch.setattr("app.amends.store.sagas.transactions.BRIEF", brief)
                load.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await load
        assert ([one.interrupted.tries] if one.interrupted else []) == tries


async def test_connections_that_a_restart_has_cut_do_not_interrupt_a_step(database: URL, trouble: Sql) -> None:
    async with store(database) as it:
        saga = await started(it)
        await asyncio.gather(*(it.reader.tuples("select pg_sleep(0.05)", ()) for _ in range(4)))
        gone = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'amends reader'"
        trouble.execute(gone + " and datname = current_database()")
        assert await ran(it, saga, executing) == Ran(1, Committed())
        assert left(trouble) == (1, 0, 1)


def _waits(sql: Sql) -> bool:
    asked = "select from pg_stat_activity where wait_event_type = 'Lock' and application_name = 'amends reader'"
    return bool(sql.execute(asked + " and datname = current_database()").fetchall())
