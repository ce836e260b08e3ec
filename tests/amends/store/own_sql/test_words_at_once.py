"""A step that asks for several things at the same time, and one that ends before they are answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from psycopg.rows import TupleRow
from sqlalchemy import URL

from app.amends.postgres.connections.pool import Pool
from app.amends.postgres.roles import as_service
from app.amends.postgres.statements.reader import Reader
from app.amends.store.sagas.transactions import PostgresTransaction
from tests.amends.business.order import orders
from tests.amends.store.harness.sagas import Store, event, started, step_commit, store
from tests.amends.store.harness.steps import HOLD, Ran, left, ran
from tests.amends.store.harness.trouble import trouble, until
from workflows.amends.ports.execution_log import Committed
from workflows.amends.run_calls import MisplacedCall

__all__ = ["trouble"]

Sql = psycopg.Connection


@asynccontextmanager
async def one_connection(url: URL) -> AsyncIterator[Pool]:
    async with Pool(as_service(url), 1) as single:
        await single.wait()
        yield single


def unit(it: Store, saga: str, on: Pool) -> PostgresTransaction:
    return PostgresTransaction(it.writer, Reader(on), it.loader, saga, "me")


async def test_statements_at_the_same_time_are_one_transaction(database: URL, trouble: Sql) -> None:
    async def body(one: PostgresTransaction) -> None:
        pids = await asyncio.gather(*(one.execute("select pg_backend_pid() as pid", None) for _ in range(3)))
        assert len({row["pid"] for (row,) in pids}) == 1
        await asyncio.gather(*(one.execute(HOLD, None) for _ in range(3)), one.load(orders, "1"))

    async with store(database) as it:
        assert await ran(it, await started(it), body) == Ran(1, Committed())
        assert left(trouble) == (3, 0, 1)


async def test_a_step_that_ends_while_another_statement_waits_leaves_no_connection_behind(
    database: URL, trouble: Sql
) -> None:
    async with store(database) as it, one_connection(database) as single:
        saga = await started(it)
        async with unit(it, saga, single) as one:
            async with single.connection():
                words = [asyncio.create_task(one.execute(HOLD, None)) for _ in range(3)]
                await until(lambda: single.get_stats().get("requests_queued", 0) > 0)
                await one.__aexit__(None, None, None)
                assert all(
                    isinstance(each, MisplacedCall) for each in await asyncio.gather(*words, return_exceptions=True)
                )
            with pytest.raises(MisplacedCall):
                await one.execute(HOLD, None)
        assert (await (await _again(single)).fetchone()) == (1,)
        assert left(trouble) == (0, 0, 0)


async def test_a_statement_under_way_when_the_step_ends_is_cut_short_and_undone(database: URL, trouble: Sql) -> None:
    async with store(database) as it, one_connection(database) as single:
        saga = await started(it)
        async with unit(it, saga, single) as one:
            await one.execute(HOLD, None)
            late = asyncio.create_task(one.execute("select pg_sleep(60)", None))
            await until(lambda: _sleeps(trouble))
        with pytest.raises(MisplacedCall):
            await late
        assert (await (await _again(single)).fetchone()) == (1,)
        assert left(trouble) == (0, 0, 0)
        assert not _sleeps(trouble)


async def test_a_commit_waits_for_what_was_asked_for_before_it_and_nothing_comes_after_it(
    database: URL, trouble: Sql
) -> None:
    async with store(database) as it, one_connection(database) as single:
        saga = await started(it)
        async with unit(it, saga, single) as one:
            await one.execute("select 1", None)
            before = [asyncio.create_task(one.execute(HOLD, None)) for _ in range(2)]
            await asyncio.sleep(0)
            commit = asyncio.create_task(one.commit(step_commit(saga, 1, event("order-1"))))
            await asyncio.sleep(0)
            after = asyncio.create_task(one.execute(HOLD, None))
            assert await commit == Committed()
            assert [await each for each in before] == [[], []]
            with pytest.raises(MisplacedCall):
                await after
        assert left(trouble) == (2, 0, 1)


async def _again(single: Pool) -> psycopg.AsyncCursor[TupleRow]:
    """The pool's only connection is there again."""
    async with single.connection(5) as connection:
        return await connection.execute("select 1")


def _sleeps(sql: Sql) -> bool:
    asked = "select from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'"
    return bool(sql.execute(asked + " and datname = current_database()").fetchall())
