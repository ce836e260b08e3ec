"""What a step's own SQL may not do: such an error is the step's own, at its first run."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.store.sagas.own_sql import Aborted, EndsTransaction
from app.amends.store.sagas.transactions import PostgresTransaction
from domain.amends.errors import Unstorable
from tests.amends.business.order import orders
from tests.amends.store.harness.sagas import started, store
from tests.amends.store.harness.steps import HOLD, Body, Ran, asking, left, noting, ran, swallowing
from tests.amends.store.harness.trouble import LONG, fails_for, trouble
from workflows.amends.ports.execution_log import Committed

__all__ = ["trouble"]

Sql = psycopg.Connection

IDS = ["deferred", "deferred unique", "too long", "no table", "no right", "no column", "commit in a function"]
IDS += ["raised", "raised with a code", "nul", "surrogate", "no parameter"]


@pytest.mark.parametrize(
    ("body", "expected", "says"),
    [
        (noting(n=4711), psycopg.errors.ForeignKeyViolation, "violates foreign key constraint"),
        (noting(once=1), psycopg.errors.UniqueViolation, "notes_once_key"),
        (asking(f"insert into public.notes (long) {LONG}"), psycopg.errors.ProgramLimitExceeded, "index row requires"),
        (asking("select * from public.nothing"), psycopg.errors.UndefinedTable, "does not exist"),
        (asking("select * from public.locked"), psycopg.errors.InsufficientPrivilege, "permission denied"),
        (asking("select nonsense"), psycopg.errors.UndefinedColumn, "nonsense"),
        (asking("do $$ begin commit; end $$"), psycopg.errors.InvalidTransactionTermination, "invalid transaction"),
        (asking("select public.fail(1000, 'P0001')"), psycopg.errors.RaiseException, "trouble with P0001"),
        (asking("select public.fail(1000, 'MY001')"), psycopg.Error, "trouble with MY001"),
        (noting(long="\x00"), psycopg.DataError, "NUL"),
        (noting(long="\ud800"), UnicodeEncodeError, "surrogates"),
        (asking("select %(missing)s"), psycopg.Error, "%"),
    ],
    ids=IDS,
)
async def test_what_never_passes_is_raised_as_it_is_at_the_first_run(
    database: URL, trouble: Sql, body: Body, expected: type[Exception], says: str
) -> None:
    trouble.execute("create table public.locked (n int)")
    trouble.execute("insert into public.notes (once) values (1)")
    async with store(database) as it:
        saga = await started(it)
        came = await ran(it, saga, body)
        assert came.runs == 1
        assert isinstance(came.end, expected)
        assert says in str(came.end)
        assert left(trouble) == (0, 1, 0)


async def test_too_many_parameters_are_no_lost_connection(database: URL, trouble: Sql) -> None:
    async def body(one: PostgresTransaction) -> None:
        await one.execute(f"select {','.join(['%s'] * 70_000)}", list(range(70_000)))

    async with store(database) as it:
        came = await ran(it, await started(it), body)
        assert came.runs == 1
        assert isinstance(came.end, psycopg.ProgrammingError)


async def test_an_error_that_was_caught_says_why_nothing_more_can_be_done(database: URL, trouble: Sql) -> None:
    twice = asking("insert into public.stock values ('apple', 1)")
    caught: list[Exception] = []

    async def body(one: PostgresTransaction) -> None:
        for again in (twice, asking("select 1")):
            try:
                await again(one)
            except Exception as error:
                caught.append(error)

    async with store(database) as it:
        saga = await started(it)
        came = await ran(it, saga, body)
        assert came.runs == 1
        assert [type(each) for each in caught] == [psycopg.errors.UniqueViolation, Aborted]
        assert isinstance(came.end, Aborted)
        assert 'duplicate key value violates unique constraint "stock_pkey"' in str(came.end)
        assert left(trouble) == (0, 0, 0)


async def test_a_step_may_go_on_from_a_savepoint(database: URL, trouble: Sql) -> None:
    async def body(one: PostgresTransaction) -> None:
        await one.execute(HOLD, None)
        await one.execute("savepoint before", None)
        with pytest.raises(psycopg.errors.UniqueViolation):
            await one.execute("insert into public.stock values ('apple', 1)", None)
        await one.execute("-- back\nROLLBACK WORK TO SAVEPOINT before", None)
        assert await one.load(orders, "1") == (orders.initial, 0)
        await one.execute("insert into public.stock values ('fig', 1)", None)

    async with store(database) as it:
        assert await ran(it, await started(it), body) == Ran(1, Committed())
        assert left(trouble) == (1, 0, 1)


ENDS = ["commit", " COMMIT AND CHAIN;", "rollback", "abort", "end work", "begin", "start transaction", "; rollback"]
ENDS += [
    "prepare transaction 'x'",
    "-- really\ncommit",
    "/* a * b */ rollback /* c */ and chain",
    "commit prepared 'x'",
]
HIDDEN = ["/* /* nested */ */ commit", "/* /* nested */ */ commit and chain", "/* /* nested */ */ rollback"]


@pytest.mark.parametrize("catches", [False, True], ids=["raises", "catches"])
@pytest.mark.parametrize("statement", ENDS + HIDDEN)
async def test_a_statement_that_ends_the_transaction_is_refused(
    database: URL, trouble: Sql, statement: str, catches: bool
) -> None:
    body = asking(statement)
    async with store(database) as it:
        saga = await started(it)
        came = await ran(it, saga, swallowing(body) if catches else body)
        assert came.runs == 1
        assert isinstance(came.end, EndsTransaction)
        if statement in ENDS:
            assert left(trouble) == (0, 0, 0)
        assert await ran(it, saga, asking("select 1")) == Ran(1, Committed())


async def test_statements_that_only_look_like_the_end_of_a_transaction_are_taken(database: URL, trouble: Sql) -> None:
    async def body(one: PostgresTransaction) -> None:
        await one.execute("create temporary table endings (commit int) on commit drop", None)
        await one.execute("select 'commit' as begin, 1 as end_of /* rollback */ -- abort", None)
        await one.execute("/* begin */ with beginning as (select 1) select * from beginning", None)

    async with store(database) as it:
        assert await ran(it, await started(it), body) == Ran(1, Committed())


async def test_what_the_commit_itself_cannot_store_is_unstorable(database: URL, trouble: Sql) -> None:
    fails_for(trouble, "order-1", "P0001")
    async with store(database) as it:
        came = await ran(it, await started(it), asking("select 1"))
        assert came.runs == 1
        assert isinstance(came.end, Unstorable)
        assert "trouble with P0001" in str(came.end)
