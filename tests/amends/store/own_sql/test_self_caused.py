"""What a step's own SQL brings on itself comes to an end, also where the same error would mean an absent database."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.sqlstates import CONTENDED_TRIES, LARGE, SLOW_TRIES
from app.amends.store.sagas.transactions import PostgresTransaction
from domain.amends.errors import Unstorable
from tests.amends.store.harness.sagas import event, started, step_commit, store
from tests.amends.store.harness.steps import FAR, Body, Ran, asking, left, ran, swallowing
from tests.amends.store.harness.trouble import limited, read_only, trouble
from workflows.amends.ports.execution_log import Committed, TransactionInterrupted

__all__ = ["trouble"]

Sql = psycopg.Connection

SLOWLY = """
create function public.slowly() returns trigger language plpgsql as $$
begin
    perform pg_sleep(60) where new.stream = 'order-large';
    return new;
end $$;
create trigger slowly before insert on amends.events for each row execute function public.slowly();
"""


async def test_more_temporary_files_than_a_session_may_have_are_not_asked_for_again(
    database: URL, trouble: Sql
) -> None:
    name = psycopg.sql.Identifier(trouble.info.dbname)
    for limit in ("temp_file_limit = '64kB'", "work_mem = '64kB'"):
        trouble.execute(psycopg.sql.SQL("alter database {} set ").format(name) + psycopg.sql.SQL(limit))
    sorting = asking("select count(*) from (select md5(n::text) from generate_series(1, 50000) n order by 1) as each")
    async with store(database) as it:
        came = await ran(it, await started(it), sorting)
        assert came.runs == 1
        assert isinstance(came.end, psycopg.errors.ConfigurationLimitExceeded)


@pytest.mark.parametrize(
    "statement", ["set transaction read only", "select set_config('transaction_read_only', 'on', true)"]
)
async def test_a_transaction_that_a_step_makes_read_only_is_the_steps_own(
    database: URL, trouble: Sql, statement: str
) -> None:
    async def writes(one: PostgresTransaction) -> None:
        await one.execute(statement, None)
        await one.execute("update public.stock set held = 9", None)

    async def commits(one: PostgresTransaction) -> None:
        await one.execute(statement, None)

    async with store(database) as it:
        saga = await started(it)
        came = await ran(it, saga, writes)
        assert came.runs == 1
        assert isinstance(came.end, psycopg.errors.ReadOnlySqlTransaction)
        came = await ran(it, saga, commits)
        assert came.runs == 1
        assert isinstance(came.end, Unstorable)
        with read_only(trouble):
            came = await ran(it, saga, swallowing(writes))
            assert (came.runs, came.tries) == (FAR, None), "the database itself takes no writes"
        assert (await ran(it, saga, asking("select 1"))).end == Committed()


async def test_a_large_commit_that_takes_too_long_after_own_sql_ends(database: URL, trouble: Sql) -> None:
    trouble.execute(SLOWLY.encode())
    async with store(database) as it, store(limited(database, statement_timeout="200ms")) as other:
        saga, runs = await started(it), 0
        while True:
            runs += 1
            async with PostgresTransaction(other.writer, other.reader, other.loader, saga, "me") as one:
                await one.execute("select 1", None)
                with pytest.raises(TransactionInterrupted) as ended:
                    await one.commit(step_commit(saga, 1, event("order-large", data={"x": "x" * 2 * LARGE})))
            assert ended.value.tries == SLOW_TRIES
            if runs == SLOW_TRIES:
                break
            with pytest.raises(TransactionInterrupted) as small:
                async with PostgresTransaction(other.writer, other.reader, other.loader, saga, "me") as one:
                    await one.execute("select 1", None)
                    await one.commit(step_commit(saga, 1, event("order-large")))
            assert small.value.tries is None, "the machine may be slow: nobody is to blame"


@pytest.mark.parametrize("statement", ["set role none; set role pg_monitor", "set statement_timeout = '1ms'"])
async def test_a_commit_that_fails_after_a_step_changed_its_session_is_counted(
    database: URL, trouble: Sql, statement: str
) -> None:
    trouble.execute(SLOWLY.replace("'order-large'", "'order-1'").encode())
    async with store(database) as it:
        came = await ran(it, await started(it), _each(statement))
        assert (came.runs, came.tries) == (CONTENDED_TRIES, CONTENDED_TRIES)
        assert left(trouble) == (0, 0, 0)


def _each(statements: str) -> Body:
    async def body(one: PostgresTransaction) -> None:
        for statement in statements.split("; "):
            await one.execute(statement, None)

    return body


async def test_a_step_that_changes_its_session_is_no_worse_off(database: URL, trouble: Sql) -> None:
    async with store(database) as it:
        assert await ran(it, await started(it), asking("set local work_mem = '1MB'")) == Ran(1, Committed())
