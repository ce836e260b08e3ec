"""A step with SQL of its own: its tables, its events and its checkpoint stand together, or not at all."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.store.sagas.transactions import PostgresTransaction
from tests.amends.business.order import orders
from tests.amends.store.harness.sagas import Store, checkpoint, event, started, step_commit, store
from workflows.amends.ports.execution_log import Committed, Fenced, StepCommit, StreamMoved, TransactionInterrupted

Sql = psycopg.Connection


@pytest.fixture
def stock(sql: Sql) -> Sql:
    sql.execute("create table public.stock (sku text primary key, held int not null)")
    sql.execute("insert into public.stock values ('apple', 0)")
    sql.execute("grant select, insert, update on public.stock to amends_service")
    return sql


def held(stock: Sql) -> Any:
    return stock.execute("select held from public.stock").fetchone()


def unit(it: Store, saga: str, owner: str = "me") -> PostgresTransaction:
    return PostgresTransaction(it.writer, it.reader, it.loader, saga, owner)


HOLD = "update public.stock set held = held + %(n)s where sku = 'apple' returning held"


async def test_own_sql_and_events_are_one_transaction(database: URL, stock: Sql) -> None:
    async with store(database) as it:
        saga = await started(it)
        async with unit(it, saga) as one:
            assert await one.execute(HOLD, {"n": 2}) == [{"held": 2}]
            assert held(stock) == (0,), "nobody else sees it yet"
            assert await one.commit(step_commit(saga, 1, event("order-1"))) == Committed()
        assert held(stock) == (2,)
        same = "select count(distinct t) from (select xmin::text as t from public.stock union all"
        same += " select transaction_id::text from amends.events where stream = 'order-1') as each"
        assert stock.execute(same).fetchone() == (1,)


async def test_a_stale_commit_takes_own_sql_back(database: URL, stock: Sql) -> None:
    async with store(database) as it:
        saga = await started(it)
        async with unit(it, saga) as one:
            _, version = await one.load(orders, "1")
            await it.sagas.commit(saga, "me", step_commit(saga, 1, event("order-1")))
            await one.execute(HOLD, {"n": 2})
            late = StepCommit([event(f"saga-{saga}"), event("order-1")], {"order-1": version}, checkpoint(2))
            assert await one.commit(late) == StreamMoved("order-1", 0, 1)
    assert held(stock) == (0,)


async def test_a_write_that_came_in_between_makes_own_sql_stale(database: URL, stock: Sql) -> None:
    async with store(database) as it:
        saga = await started(it)
        async with unit(it, saga) as one:
            await one.execute(HOLD, {"n": 2})
            await it.sagas.commit(saga, "me", step_commit(saga, 1, event("order (1, 2)")))
            late = StepCommit([event(f"saga-{saga}"), event("order (1, 2)")], {"order (1, 2)": 0}, checkpoint(2))
            assert await one.commit(late) == StreamMoved(f"saga-{saga}", 1, 2), (
                "the first of the two, as they were given"
            )
            assert one.interrupted is None
        assert await it.sagas.commit(saga, "me", step_commit(saga, 2, event("order-1"))) == Committed()
    assert held(stock) == (0,)


async def test_a_fenced_execution_keeps_nothing_of_its_own_sql(database: URL, stock: Sql) -> None:
    async with store(database) as it:
        saga = await started(it)
        stock.execute("update dbos.workflow_status set owner_xid = 'another'")
        with pytest.raises(Fenced):
            async with unit(it, saga) as one:
                await one.execute(HOLD, {"n": 2})
                await one.commit(step_commit(saga, 1))
    assert held(stock) == (0,)


async def test_an_error_in_own_sql_is_the_steps_to_handle(database: URL, stock: Sql) -> None:
    async with store(database) as it:
        saga = await started(it)
        with pytest.raises(psycopg.errors.UniqueViolation):
            async with unit(it, saga) as one:
                await one.execute("insert into public.stock values ('apple', 1)", None)
        async with unit(it, saga) as one:
            assert await one.commit(step_commit(saga, 1)) == Committed()
    assert held(stock) == (0,)


async def test_a_connection_that_dies_interrupts_the_step(database: URL, stock: Sql) -> None:
    async with store(database) as it:
        saga = await started(it)
        with pytest.raises(TransactionInterrupted):
            async with unit(it, saga) as one:
                await one.execute(HOLD, {"n": 2})
                stock.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'amends reader'"
                )
                await one.commit(step_commit(saga, 1))
        assert held(stock) == (0,)
        async with unit(it, saga) as one:
            await one.execute(HOLD, {"n": 3})
            assert await one.commit(step_commit(saga, 1)) == Committed()
    assert held(stock) == (3,)


async def test_concurrent_own_sql_never_loses_an_update(database: URL, stock: Sql) -> None:
    async with store(database, connections=4) as it:
        sagas = [await started(it) for _ in range(4)]

        async def hold(saga: str) -> None:
            for step_id in range(1, 11):
                stands = False
                while not stands:
                    with suppress(TransactionInterrupted):
                        async with unit(it, saga) as one:
                            await one.execute(HOLD, {"n": 1})
                            stands = await one.commit(step_commit(saga, step_id, event("order-hot"))) == Committed()

        await asyncio.gather(*map(hold, sagas))
    assert held(stock) == (40,)
    disorder = """
        select count(*) from (
            select transaction_id::text::bigint < lag(transaction_id::text::bigint) over (order by version) as wrong
              from amends.events where stream = 'order-hot') as each where wrong"""
    assert stock.execute(disorder).fetchone() == (0,)
