"""What a step's own SQL does to its session ends with the step: the next one finds it as if nobody had been there."""

from __future__ import annotations

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.connections.pool import Pool
from app.amends.postgres.roles import as_service
from app.amends.postgres.statements.reader import Reader
from app.amends.postgres.urls import connection_settings, conninfo
from app.amends.store.sagas.own_sql import reset_session
from app.amends.store.sagas.transactions import PostgresTransaction
from tests.amends.store.harness.sagas import started, store
from tests.amends.store.harness.steps import Body, ran
from tests.amends.store.harness.trouble import limited, trouble

__all__ = ["trouble"]

Sql = psycopg.Connection

SETTINGS = """
select current_user, session_user, current_setting('statement_timeout'), current_setting('lock_timeout'),
       current_setting('idle_in_transaction_session_timeout'), current_setting('timezone'),
       current_setting('search_path'), current_setting('default_transaction_read_only'),
       current_setting('application_name'), current_setting('work_mem'),
       (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()),
       (select count(*) from pg_listening_channels()), to_regclass('pg_temp.left_over'),
       (select count(*) from pg_cursors where is_holdable), coalesce(current_setting('my.tenant', true), '')
"""
LEAKS = [
    "set statement_timeout = '1ms'",
    "set search_path = nowhere",
    "set role none",
    "set session characteristics as transaction read only",
    "set timezone = 'Asia/Tokyo'",
    "select set_config('my.tenant', '4711', false)",
    "select pg_advisory_lock(4711)",
    "listen words",
    "create temporary table left_over (n int)",
    "declare left_over cursor with hold for select 1",
]


def leaking(statement: str, how: str) -> Body:
    async def body(one: PostgresTransaction) -> None:
        await one.execute("set statement_timeout = '14s'", None)
        await one.execute(statement, None)
        if how != "commits":
            await one.execute("select 1 / 0" if how == "fails" else "select 1", None)
            raise ValueError("the step has ended otherwise")

    return body


@pytest.mark.parametrize("how", ["commits", "raises", "fails"])
@pytest.mark.parametrize("statement", LEAKS)
async def test_a_session_is_given_back_as_it_was(database: URL, trouble: Sql, statement: str, how: str) -> None:
    url = limited(database, work_mem="123kB", lock_timeout="7s")
    async with store(database) as it, Pool(as_service(url), 1) as single:
        reader = Reader(single)
        (before,) = await reader.tuples(SETTINGS, ())
        assert before[0] == "amends_service"
        assert {"123kB", "7s", "15s", "UTC"} <= set(before)
        await ran(it, await started(it), leaking(statement, how), reader=reader)
        assert await reader.tuples(SETTINGS, ()) == [before]


async def test_a_session_that_cannot_be_brought_back_is_ended(database: URL, trouble: Sql) -> None:
    async with await psycopg.AsyncConnection.connect(
        conninfo(database), **connection_settings(database, "test")
    ) as connection:
        trouble.execute("select pg_terminate_backend(%s)", (connection.info.backend_pid,))
        await reset_session(connection)
        assert connection.closed


async def test_statements_stay_prepared_on_a_session_that_was_brought_back(database: URL, trouble: Sql) -> None:
    async def body(one: PostgresTransaction) -> None:
        await one.execute("select held from public.stock where sku = %(sku)s", {"sku": "apple"})

    async with store(database) as it, Pool(as_service(database), 1) as single:
        reader = Reader(single)
        for _ in range(3):
            saga = await started(it)
            assert (await ran(it, saga, body, reader=reader)).runs == 1
        rows = await reader.tuples(
            "select count(*) from pg_prepared_statements where statement like 'select held%%'", ()
        )
        assert rows == [(1,)]
