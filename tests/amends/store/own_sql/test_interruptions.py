"""What interrupts a step with SQL of its own: what passes is waited for, and what it may cause itself is counted."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.connections.pool import Pool
from app.amends.postgres.connections.sessions import Session
from app.amends.postgres.roles import as_service
from app.amends.postgres.sqlstates import CONTENDED_TRIES, SLOW_TRIES
from app.amends.postgres.statements.reader import Reader
from app.amends.store.sagas.transactions import PostgresTransaction
from tests.amends.business.order import orders
from tests.amends.store.harness.sagas import event, started, step_commit, store
from tests.amends.store.harness.steps import FAR, HOLD, Body, Ran, asking, left, ran, swallowing
from tests.amends.store.harness.trouble import (
    end_sessions,
    held,
    limited,
    missing,
    read_only,
    said,
    soon,
    tries,
    trouble,
    until,
)
from workflows.amends.ports.execution_log import Committed, StreamMoved

__all__ = ["soon", "trouble"]

Sql = psycopg.Connection


@pytest.mark.parametrize("catches", [False, True], ids=["raises", "catches"])
async def test_a_statement_that_takes_longer_than_it_may_runs_three_times(
    database: URL, trouble: Sql, catches: bool
) -> None:
    slow = asking("select nextval('public.tries'), pg_sleep(60)")
    async with store(database) as it, store(limited(database, statement_timeout="1s")) as other:
        saga = await started(it)
        came = await ran(other, saga, swallowing(slow) if catches else slow)
        assert (came.runs, came.tries, str(came.end)) == (3, 3, "canceling statement due to statement timeout")
        assert tries(trouble) == 3
        assert left(trouble) == (0, 0, 0)


@pytest.mark.parametrize("catches", [False, True], ids=["raises", "catches"])
@pytest.mark.parametrize("code", ["40001", "40P01", "55P03", "58030", "XX000"])
async def test_what_is_contended_is_counted_whatever_the_step_makes_of_it(
    database: URL, trouble: Sql, code: str, catches: bool
) -> None:
    body = asking(f"select public.fail(1000, '{code}')")
    async with store(database) as it:
        saga = await started(it)
        came = await ran(it, saga, swallowing(body) if catches else body)
        assert (came.runs, came.tries) == (CONTENDED_TRIES, CONTENDED_TRIES)
        assert str(came.end) == f"trouble with {code}"
        assert tries(trouble) == CONTENDED_TRIES
        few = asking(f"select public.fail({CONTENDED_TRIES + 3}, '{code}')")
        assert await ran(it, saga, swallowing(few) if catches else few) == Ran(4, Committed())
        assert left(trouble) == (1, 0, 1)


@pytest.mark.parametrize("code", ["08006", "53100", "57P03"])
async def test_what_passes_is_not_counted(database: URL, trouble: Sql, code: str) -> None:
    async with store(database) as it:
        saga = await started(it)
        came = await ran(it, saga, asking(f"select public.fail({FAR}, '{code}')"), most=FAR + 1)
        assert came == Ran(FAR + 1, Committed())
        assert left(trouble) == (1, 0, 1)


async def test_a_row_that_others_changed_meanwhile_is_changed_by_the_next_run(database: URL, trouble: Sql) -> None:
    first = True

    async def body(one: PostgresTransaction) -> None:
        nonlocal first
        await one.execute("select * from public.stock", None)
        if first:
            trouble.execute(HOLD)
        first = False
        await one.execute(HOLD, None)

    async with store(database) as it:
        assert await ran(it, await started(it), body) == Ran(2, Committed())
        assert left(trouble) == (2, 0, 1)


async def test_of_two_steps_that_wait_for_each_other_one_runs_again(database: URL, trouble: Sql) -> None:
    both = asyncio.Barrier(2)

    def crossing(*skus: str) -> Body:
        first = True

        async def body(one: PostgresTransaction) -> None:
            nonlocal first
            for sku in skus:
                await one.execute("update public.stock set held = held + 1 where sku = %(sku)s", {"sku": sku})
                if first:
                    first = False
                    await both.wait()

        return body

    async with store(database) as it:
        sagas = [await started(it), await started(it)]
        one, other = await asyncio.gather(
            ran(it, sagas[0], crossing("apple", "pear")), ran(it, sagas[1], crossing("pear", "apple"))
        )
        assert sorted([one.runs, other.runs])[1] > 1
        assert {type(one.end), type(other.end)} <= {Committed, StreamMoved}


@pytest.mark.parametrize("nowait", [" nowait", ""], ids=["nowait", "lock timeout"])
async def test_a_row_that_is_never_free_is_tried_and_counted(database: URL, trouble: Sql, nowait: str) -> None:
    async with store(database) as it, store(limited(database, lock_timeout="20ms")) as other:
        saga = await started(it)
        body = asking(f"select * from public.stock where sku = 'pear' for update{nowait}")
        with trouble.transaction():
            trouble.execute("update public.stock set held = 7 where sku = 'pear'")
            came = await ran(other, saga, body)
        assert (came.runs, came.tries) == (CONTENDED_TRIES, CONTENDED_TRIES)
        assert await ran(other, saga, body) == Ran(1, Committed())


async def test_a_step_that_does_something_else_for_too_long_runs_three_times(database: URL, trouble: Sql) -> None:
    gone = "select from pg_stat_activity where pid = %s"

    async def body(one: PostgresTransaction) -> None:
        (row,) = await one.execute("select pg_backend_pid() as pid", None)
        await until(lambda: not trouble.execute(gone, (row["pid"],)).fetchall())

    async with store(database) as it, store(limited(database, idle_in_transaction_session_timeout="100ms")) as other:
        saga = await started(it)
        for dozing in (body, swallowing(body)):
            came = await ran(other, saga, dozing)
            assert (came.runs, came.tries) == (SLOW_TRIES, SLOW_TRIES)
            assert "idle-in-transaction timeout" in str(came.end)


@pytest.mark.parametrize("what", ["right", "table", "function"])
async def test_what_amends_itself_lacks_is_never_counted(
    database: URL, trouble: Sql, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    async with store(database) as it:
        saga = await started(it)
        with said(caplog) as times:
            with missing(trouble, what):
                came = await ran(it, saga, asking("select 1"))
                assert (came.runs, came.tries) == (FAR, None)
                assert times("the database lacks what Amends needs") == FAR
            assert await ran(it, saga, asking("select 1")) == Ran(1, Committed())
        assert left(trouble) == (1, 0, 1)


async def test_a_database_that_takes_no_writes_is_never_counted(database: URL, trouble: Sql) -> None:
    async with store(database) as it:
        saga = await started(it)
        with read_only(trouble):
            came = await ran(it, saga, asking("select 1"))
            assert (came.runs, came.tries) == (FAR, None)
        assert (await ran(it, saga, asking("select 1"))).end == Committed(), "on another session than those"
        assert left(trouble) == (1, 0, 1)


async def test_a_connection_that_none_is_left_of_is_never_counted(
    database: URL, trouble: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.amends.store.sagas.transactions.PATIENCE", 0.02)
    async with store(database) as it:
        saga = await started(it)
        url = as_service(database)
        small = Pool(url, 1)
        small.timeout = 0.02
        async with small:
            await small.wait()
            async with small.connection():
                came = await ran(it, saga, asking("select 1"), reader=Reader(small))
            assert (came.runs, came.tries) == (FAR, None)


class Losing(Session):
    """A connection that is lost when the answer to a commit should come."""

    async def commit(self) -> None:
        await super().commit()
        await self.close()
        raise psycopg.OperationalError("server closed the connection unexpectedly")


async def test_a_commit_whose_answer_was_lost_is_known_to_stand(database: URL, trouble: Sql) -> None:
    url = as_service(database)
    async with store(database) as it:
        saga = await started(it)
        losing = Pool(url, 1)
        losing.connection_class = Losing
        async with losing:
            await losing.wait()
            assert await ran(it, saga, asking("select 1"), reader=Reader(losing)) == Ran(1, Committed())
        assert left(trouble) == (1, 0, 1)


@pytest.mark.usefixtures("soon", "trouble")
async def test_whether_a_commit_stands_is_asked_until_it_is_known(
    database: URL, caplog: pytest.LogCaptureFixture
) -> None:
    async with store(database) as it, store(limited(database, lock_timeout="20ms")) as other:
        saga = await started(it)
        one = PostgresTransaction(other.writer, other.reader, other.loader, saga, "me")
        with caplog.at_level("DEBUG", "amends.store"), held(database, "order-1"):
            asked = asyncio.create_task(one._landed(step_commit(saga, 1, event("order-1"))))
            await until(lambda: caplog.text.count("lock timeout") > 2)
            assert not asked.done()
        assert await asked is False


async def test_a_connection_that_is_lost_before_the_commit_has_written_nothing(database: URL, trouble: Sql) -> None:
    first = True

    async def body(one: PostgresTransaction) -> None:
        nonlocal first
        await one.execute(HOLD, None)
        if first:
            end_sessions(trouble)
        first = False

    async with store(database) as it:
        saga = await started(it)
        came = await ran(it, saga, body)
        assert came.end == Committed()
        assert came.runs > 1
        assert left(trouble) == (1, 0, 1)


async def test_a_read_inside_the_transaction_waits_for_what_amends_lacks(database: URL, trouble: Sql) -> None:
    async def body(one: PostgresTransaction) -> None:
        await one.execute(HOLD, None)
        await one.load(orders, "1")

    async with store(database) as it:
        saga = await started(it)
        with missing(trouble, "table"):
            came = await ran(it, saga, swallowing(body))
            assert (came.runs, came.tries) == (FAR, None)
        assert await ran(it, saga, body) == Ran(1, Committed())
