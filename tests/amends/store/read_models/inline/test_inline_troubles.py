"""Whatever keeps a row from being written with its events keeps nobody from appending."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.store.events.writer import EventWriter
from app.amends.store.sagas.postgres_sagas import PostgresSagas
from tests.amends.business.account import MoneyDeposited
from tests.amends.store.harness.sagas import checkpoint, event, started
from tests.amends.store.harness.trouble import soon
from tests.amends.store.read_models.inline.client import POISON, moved, opened, saga_client
from workflows.amends.ports.execution_log import Committed, StepCommit
from workflows.amends.projections.table_check import TableChanged

__all__ = ["soon"]


Sql = psycopg.Connection


FAIL_AT_COMMIT = """
create function public.fail() returns trigger language plpgsql as $$ begin raise exception 'not today'; end $$;
create constraint trigger fail after update on views.account_now_1 deferrable initially deferred
    for each row execute function public.fail();
"""


async def test_a_row_that_is_refused_at_the_commit_keeps_nobody_from_appending(database: URL, sql: Sql) -> None:
    async with saga_client(database) as it:
        await it.append("a", opened("a"))
        sql.execute(FAIL_AT_COMMIT)
        await it.append("a", MoneyDeposited(1))
        await it.append("b", opened("b", 2))
        assert [await it.balance(id) for id in "ab"] == [0, 2]
        await it.follow()
        (aside,) = await it.store.projections.dead_letters()
        assert (aside.key, aside.version, aside.error) == ("a", 2, "not today")
        assert (await it.events.version("account-a"), await it.balance("b")) == (2, 2)


async def test_an_event_that_cannot_be_applied_keeps_nobody_from_appending(database: URL) -> None:
    async with saga_client(database) as it:
        await it.append("a", opened("a"), MoneyDeposited(1))
        await it.append("a", MoneyDeposited(POISON))
        await it.append("a", MoneyDeposited(5))
        await it.append("b", opened("b", 2))
        assert [await it.balance(id) for id in "ab"] == [1, 2], "what comes behind it waits"
        await it.follow()
        (aside,) = await it.store.projections.dead_letters()
        assert (aside.key, aside.version, aside.waiting) == ("a", 3, 1)
        await it.append("a", MoneyDeposited(7))
        assert await it.balance("a") == 1


TOO_LONG = """
create function public.long(n bigint) returns text immutable language sql
    as $$ select string_agg(md5((i + n)::text), '') from generate_series(1, 1000) as i $$;
grant execute on function public.long to amends_service;
create index on views.account_now_1 (public.long(balance)) where balance = 13;
"""


async def test_a_row_that_is_too_long_for_an_index_keeps_nobody_from_appending(database: URL, sql: Sql) -> None:
    async with saga_client(database) as it:
        await it.append("a", opened("a", 12))
        sql.execute(TOO_LONG)
        await it.append("a", MoneyDeposited(1))
        await it.append("b", opened("b", 2))
        assert [await it.balance(id) for id in "ab"] == [12, 2]
        await it.follow()
        (aside,) = await it.store.projections.dead_letters()
        assert (aside.key, aside.version) == ("a", 2)
        assert "index row requires" in aside.error


async def test_a_row_that_somebody_has_locked_is_left_to_the_runner(
    database: URL, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.amends.projections.inline.LOCK_TIMEOUT", "20ms")
    async with saga_client(database) as it:
        await it.append("a", opened("a"))
        sagas = PostgresSagas(EventWriter(it.store.committer, it.inline), it.store.reader, it.store.loader)
        saga = await started(it.store)
        step_commit = StepCommit([event(f"saga-{saga}"), *moved("a", MoneyDeposited(1))], {}, checkpoint(1))
        with sql.transaction():
            sql.execute("select * from views.account_now_1 for update")
            assert await sagas.commit(saga, "me", step_commit) == Committed()
        assert await it.balance("a") == 0
        await it.follow()
        assert await it.balance("a") == 1


TRIGGER = """
create function public.hinder() returns trigger language plpgsql as $$ begin {} return new; end $$;
create trigger hinder before insert or update on views.account_now_1 for each row
    when (new.account_id = 'a') execute function public.hinder();
"""


RAISED = ("08006", "HV00N", "40001", "53100", "57P01", "25006", "42501")


@pytest.mark.parametrize("code", RAISED)
async def test_whatever_a_trigger_raises_keeps_nobody_from_appending(database: URL, sql: Sql, code: str) -> None:
    async with saga_client(database) as it:
        await it.append("a", opened("a"))
        sql.execute(TRIGGER.format(f"raise exception 'no' using errcode = '{code}';").encode())
        await asyncio.wait_for(it.append("a", MoneyDeposited(1)), 2)
        await it.append("b", opened("b", 2))
        assert [await it.balance(id) for id in "ab"] == [0, 2]
        await it.follow()
        assert [each.key for each in await it.store.projections.dead_letters()] == ["a"]


async def test_a_trigger_that_sleeps_does_not_hold_an_append_for_long(
    database: URL, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.amends.projections.inline.STATEMENT_TIMEOUT", "200ms")
    async with saga_client(database) as it:
        await it.append("a", opened("a"))
        sql.execute(TRIGGER.format("perform pg_sleep(5);").encode())
        await asyncio.wait_for(it.append("a", MoneyDeposited(1)), 2)
        assert (await it.events.version("account-a"), await it.balance("a")) == (2, 0)
        sql.execute("drop trigger hinder on views.account_now_1")
        await it.follow()
        assert await it.balance("a") == 1


async def test_other_statements_of_a_transaction_may_take_as_long_as_before(database: URL) -> None:
    async with saga_client(database) as it, it.store.reader.transaction() as connection:
        before = await (await connection.execute("select current_setting('statement_timeout')")).fetchone()
        await it.inline.write(connection, moved("a", opened("a")))
        assert await (await connection.execute("select current_setting('statement_timeout')")).fetchone() == before


BROKEN = {
    "a right": ("revoke update on {} from amends_service", "grant update on {} to amends_service"),
    "all rights": ("revoke all on {} from amends_service", "grant all on {} to amends_service"),
    "its table": ("alter table {} rename to elsewhere", "alter table views.elsewhere rename to account_now_1"),
    "a column": ("alter table {} rename balance to other", "alter table {} rename other to balance"),
    "a type": (
        "drop view views.account_now; alter table {} alter balance type numeric",
        "alter table {} alter balance type bigint",
    ),
    "a column and the view": ("alter table {} drop balance cascade", "alter table {} add balance bigint default 0;"
                              "alter table {} alter balance set not null; alter table {} alter balance drop default"),
    "its key": (
        "alter table {} drop constraint account_now_1_pkey",
        "alter table {} add constraint account_now_1_pkey primary key (account_id)",
    ),
    "a column too many": ("alter table {} add more int not null default 0; alter table {} alter more drop default",
                          "alter table {} drop more"),
}  # fmt: skip


@pytest.mark.parametrize("lost", BROKEN)
async def test_a_table_that_cannot_be_written_keeps_nobody_from_appending(
    database: URL, sql: Sql, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workflows.amends.projections.inline.PAUSE_SECONDS", 0.0)
    async with saga_client(database) as it:
        await it.append("a", opened("a"))
        broken, mended = (each.replace("{}", "views.account_now_1") for each in BROKEN[lost])
        sql.execute(broken.encode())
        await it.append("a", MoneyDeposited(1))
        await it.append("b", opened("b", 7))
        assert [await it.events.version(f"account-{id}") for id in "ab"] == [2, 1]
        with pytest.raises(TableChanged):
            await it.follow()
        (build,) = await it.builds.all("account_now")
        assert "views.account_now_1" in (build.failure or "")
        sql.execute(mended.encode())
        await it.append("c", opened("c", 3))
        written = sql.execute("select balance from views.account_now_1 where account_id = 'c'")
        assert written.fetchall() == [(3,)], "it goes on by itself"
        await it.follow()
        assert [await it.balance(id) for id in "ab"] == [1, 7], "and its runner does what was left"
        assert await it.store.projections.dead_letters() == []


async def test_a_row_that_does_not_read_back_keeps_nobody_from_appending(database: URL, sql: Sql) -> None:
    async with saga_client(database) as it:
        await it.append("a", opened("a"))
        await it.append("b", opened("b"))
        await it.follow()
        sql.execute("update views.account_now_1 set last = '', balance = 1 where account_id = 'a'")
        await it.append("a", MoneyDeposited(1))
        await it.append("b", MoneyDeposited(1))
        assert await it.balance("b") == 1
        await it.follow()
        (aside,) = await it.store.projections.dead_letters()
        assert (aside.key, aside.version) == ("a", 2)
        assert "does not read back: last" in aside.error
