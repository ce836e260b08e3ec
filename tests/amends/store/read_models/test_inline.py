"""Read models that are written in the commit that appends: who reads after a write sees it, and nothing is doubled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.projections.administration import ProjectionAdministration
from app.amends.projections.applying.inline import InlineProjections
from app.amends.projections.applying.runner import Runner
from app.amends.projections.applying.writer import Target
from app.amends.projections.builds import ProjectionBuilds
from app.amends.projections.dead_letters import DeadLetters
from app.amends.projections.read_models import ReadModels
from app.amends.projections.table_check import TableChanged
from app.amends.store.events.postgres_events import PostgresEvents
from app.amends.store.events.writer import EventWriter
from app.amends.store.feed.notifier import FeedNotifier
from app.amends.store.sagas.postgres_sagas import PostgresSagas
from app.amends.store.sagas.transactions import PostgresTransaction
from domain.amends.event import Cause
from domain.amends.expected import exact
from domain.amends.projection import Projection, Recorded
from tests.amends.business.account import AccountOpened, MoneyDeposited, MoneyWithdrawn, accounts
from tests.amends.store.harness.sagas import Store, checkpoint, event, started, store
from tests.amends.store.harness.trouble import soon
from workflows.amends.ports.event_store import NewEvent, record
from workflows.amends.ports.execution_log import Committed, Stale, StepCommit

__all__ = ["soon"]

Sql = psycopg.Connection
POISON = 666


Doing = Literal["opened", "deposited", "withdrawn"]


@dataclass(frozen=True)
class Now:
    account_id: str
    balance: int
    last: Doing


def evolve(row: Now | None, recorded: Recorded[AccountOpened | MoneyDeposited | MoneyWithdrawn]) -> Now | None:
    told = recorded.event
    match told:
        case AccountOpened():
            return Now(told.account_id, told.opening_balance, "opened")
        case MoneyDeposited():
            if told.amount == POISON:
                raise ValueError("cannot be")
            return row and replace(row, balance=row.balance + told.amount, last="deposited")
        case MoneyWithdrawn():
            return row and replace(row, balance=row.balance - told.amount, last="withdrawn")


now = Projection("account_now", version=1, of=accounts, evolve=evolve, key="account_id", mode="inline")
FAIL_AT_COMMIT = """
create function public.fail() returns trigger language plpgsql as $$ begin raise exception 'not today'; end $$;
create constraint trigger fail after update on views.account_now_1 deferrable initially deferred
    for each row execute function public.fail();
"""
KNOWN = {("account_now", 1): now}


@dataclass(frozen=True)
class SagaClient:
    """A store whose appends write the read model, and one of a server that does not know it."""

    store: Store
    inline: InlineProjections
    events: PostgresEvents
    elsewhere: PostgresEvents
    builds: ProjectionBuilds
    views: ReadModels

    async def append(self, id: str, *told: object, by: PostgresEvents | None = None) -> None:
        await (by or self.events).append(moved(id, *told))

    async def balance(self, id: str) -> Any:
        row = await self.views.row("account_now", id)
        return row and row["balance"]

    @property
    def administration(self) -> ProjectionAdministration:
        return ProjectionAdministration(self.builds, self.store.reader, lambda: None)

    async def follow(self) -> None:
        """Let a runner follow the feed to its end."""
        reader = self.store.reader
        for build in await self.builds.all("account_now"):
            target = Target("account_now", build.build)
            await Runner(now, target, self.store.committer, reader, FeedNotifier(reader), f"test/{uuid4()}").catch_up()


def moved(id: str, *told: object) -> list[NewEvent]:
    return [record(accounts.stream(id), each, Cause()) for each in told]


def opened(id: str, balance: int = 0) -> AccountOpened:
    return AccountOpened(id, "Ann", "EUR", balance)


@asynccontextmanager
async def saga_client(url: URL) -> AsyncIterator[SagaClient]:
    async with store(url) as it:
        builds, inline = ProjectionBuilds(KNOWN, it.reader), InlineProjections(KNOWN, it.reader)
        await builds.open_first()
        events = PostgresEvents(EventWriter(it.committer, inline), it.reader)
        views = ReadModels(builds, events, it.reader)
        yield SagaClient(it, inline, events, PostgresEvents(it.writer, it.reader), builds, views)


async def test_a_row_is_there_with_the_answer_to_the_append(database: URL) -> None:
    async with saga_client(database) as it:
        await it.append("a", opened("a", 5))
        assert await it.balance("a") == 5
        await it.append("a", MoneyDeposited(2), MoneyWithdrawn(1))
        assert await it.balance("a") == 6


async def test_rows_and_events_stand_together_or_not_at_all(database: URL) -> None:
    async with saga_client(database) as it:
        await it.append("a", opened("a"))
        with pytest.raises(Exception, match="version"):
            await it.events.append(moved("a", MoneyDeposited(9)), {"account-a": exact(7)})
        assert await it.balance("a") == 0
        await it.follow()
        assert await it.balance("a") == 0


async def test_a_row_that_is_refused_at_the_commit_keeps_nobody_from_appending(database: URL, sql: Sql) -> None:
    async with saga_client(database) as it:
        await it.append("a", opened("a"))
        sql.execute(FAIL_AT_COMMIT)
        await it.append("a", MoneyDeposited(1))
        await it.append("b", opened("b", 2))
        assert [await it.balance(id) for id in "ab"] == [0, 2]
        await it.follow()
        (aside,) = await DeadLetters(it.store.reader).all()
        assert (aside.key, aside.version, aside.error) == ("a", 2, "not today")
        assert (await it.events.version("account-a"), await it.balance("b")) == (2, 2)


async def test_many_writers_of_one_account_lose_nothing(database: URL) -> None:
    async with saga_client(database) as it:
        await it.append("a", opened("a"))
        await asyncio.gather(*(it.append("a", MoneyDeposited(1)) for _ in range(40)), it.follow())
        assert await it.balance("a") == 40


async def test_what_a_server_without_this_code_appends_is_in_with_the_next_write_or_the_runner(database: URL) -> None:
    async with saga_client(database) as it:
        await it.append("a", opened("a"))
        await it.append("a", MoneyDeposited(1), by=it.elsewhere)
        assert await it.balance("a") == 0
        await it.append("a", MoneyDeposited(2))
        assert await it.balance("a") == 3
        await it.append("b", opened("b", 7), by=it.elsewhere)
        await it.follow()
        assert [await it.balance(id) for id in "ab"] == [3, 7]


async def test_the_runner_doubles_nothing_that_was_written_inline(database: URL) -> None:
    async with saga_client(database) as it:
        await it.append("a", opened("a"), MoneyDeposited(1))
        await it.follow()
        await it.append("a", MoneyDeposited(2))
        await it.follow()
        await it.follow()
        assert await it.balance("a") == 3


async def test_a_rebuilt_table_is_written_too_and_agrees(database: URL, sql: Sql) -> None:
    async with saga_client(database) as it:
        await it.append("a", opened("a"), MoneyDeposited(1))
        await it.administration.rebuild("account_now", Cause())
        await it.append("a", MoneyDeposited(2))
        await it.follow()
        await it.append("b", opened("b", 4))
        await it.administration.promote("account_now", None, Cause())
        assert [await it.balance(id) for id in "ab"] == [3, 4]
        tables = [sql.execute(f"select * from views.account_now_{n} order by 1".encode()).fetchall() for n in (1, 2)]
        assert tables[0] == tables[1]
        columns = sql.execute("select * from views.account_now limit 0").description or ()
        assert [column.name for column in columns] == ["account_id", "balance", "last"]


async def test_an_event_that_cannot_be_applied_keeps_nobody_from_appending(database: URL) -> None:
    async with saga_client(database) as it:
        await it.append("a", opened("a"), MoneyDeposited(1))
        await it.append("a", MoneyDeposited(POISON))
        await it.append("a", MoneyDeposited(5))
        await it.append("b", opened("b", 2))
        assert [await it.balance(id) for id in "ab"] == [1, 2], "what comes behind it waits"
        await it.follow()
        (aside,) = await DeadLetters(it.store.reader).all()
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
        (aside,) = await DeadLetters(it.store.reader).all()
        assert (aside.key, aside.version) == ("a", 2)
        assert "index row requires" in aside.error


async def test_a_row_that_somebody_has_locked_is_left_to_the_runner(
    database: URL, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.amends.projections.applying.inline.LOCK_TIMEOUT", "20ms")
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
        assert [each.key for each in await DeadLetters(it.store.reader).all()] == ["a"]


async def test_a_trigger_that_sleeps_does_not_hold_an_append_for_long(
    database: URL, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.amends.projections.applying.inline.STATEMENT_TIMEOUT", "200ms")
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
    monkeypatch.setattr("app.amends.projections.applying.inline.PAUSE_SECONDS", 0.0)
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
        assert await DeadLetters(it.store.reader).all() == []


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
        (aside,) = await DeadLetters(it.store.reader).all()
        assert (aside.key, aside.version) == ("a", 2)
        assert "does not read back: last" in aside.error


async def test_what_is_skipped_is_skipped_by_later_appends_too(database: URL) -> None:
    async with saga_client(database) as it:
        await it.append("a", opened("a"), MoneyDeposited(POISON))
        await it.follow()
        await it.administration.request_action("account_now", "a", "skip", "by hand", Cause())
        reader = it.store.reader
        runner = Runner(now, Target("account_now", 1), it.store.committer, reader, FeedNotifier(reader), "test/x")
        runner.action_requested = True
        await runner.catch_up()
        assert await DeadLetters(reader).all() == []
        await it.append("a", MoneyDeposited(5))
        assert await it.balance("a") == 5, "at once, without the runner"


async def test_a_saga_writes_it_with_its_step(database: URL, sql: Sql) -> None:
    async with saga_client(database) as it:
        sagas = PostgresSagas(EventWriter(it.store.committer, it.inline), it.store.reader, it.store.loader)
        saga = await started(it.store)
        paid = StepCommit([event(f"saga-{saga}"), *moved("a", opened("a", 3))], {"account-a": 0}, checkpoint(1))
        assert await sagas.commit(saga, "me", paid) == Committed()
        assert await it.balance("a") == 3
        late = StepCommit([event(f"saga-{saga}"), *moved("a", MoneyDeposited(1))], {"account-a": 0}, checkpoint(2))
        assert await sagas.commit(saga, "me", late) == Stale("account-a", 0, 1)
        sql.execute("create table public.notes (n int)")
        sql.execute("grant insert on public.notes to amends_service")
        writer = EventWriter(it.store.committer, it.inline)
        async with PostgresTransaction(writer, it.store.reader, it.store.loader, saga, "me") as unit:
            await unit.execute("insert into public.notes values (1)", None)
            more = StepCommit([event(f"saga-{saga}"), *moved("a", MoneyDeposited(1))], {"account-a": 1}, checkpoint(3))
            assert await unit.commit(more) == Committed()
        assert await it.balance("a") == 4
