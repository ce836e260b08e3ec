"""Who reads an inline read model after a write sees it, and nothing is doubled."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.store.events.writer import EventWriter
from app.amends.store.feed.notifier import FeedNotifier
from app.amends.store.sagas.postgres_sagas import PostgresSagas
from app.amends.store.sagas.transactions import PostgresTransaction
from domain.amends.event import Cause
from domain.amends.expected import exact
from tests.amends.business.account import MoneyDeposited, MoneyWithdrawn
from tests.amends.store.harness.sagas import checkpoint, event, started
from tests.amends.store.harness.trouble import soon
from tests.amends.store.read_models.inline.client import (
    POISON,
    moved,
    now,
    opened,
    saga_client,
)
from workflows.amends.ports.execution_log import Committed, StepCommit, StreamMoved
from workflows.amends.ports.projection_builds import BuildTarget
from workflows.amends.projections.runner import Runner

__all__ = ["soon"]


Sql = psycopg.Connection


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


async def test_what_is_skipped_is_skipped_by_later_appends_too(database: URL) -> None:
    async with saga_client(database) as it:
        await it.append("a", opened("a"), MoneyDeposited(POISON))
        await it.follow()
        await it.administration.request_action("account_now", "a", "skip", "by hand", Cause())
        reader = it.store.reader
        runner = Runner(now, BuildTarget("account_now", 1), it.store.projections, FeedNotifier(reader), "test/x")
        runner.action_requested = True
        await runner.catch_up()
        assert await it.store.projections.dead_letters() == []
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
        assert await sagas.commit(saga, "me", late) == StreamMoved("account-a", 0, 1)
        sql.execute("create table public.notes (n int)")
        sql.execute("grant insert on public.notes to amends_service")
        writer = EventWriter(it.store.committer, it.inline)
        async with PostgresTransaction(writer, it.store.reader, it.store.loader, saga, "me") as unit:
            await unit.execute("insert into public.notes values (1)", None)
            more = StepCommit([event(f"saga-{saga}"), *moved("a", MoneyDeposited(1))], {"account-a": 1}, checkpoint(3))
            assert await unit.commit(more) == Committed()
        assert await it.balance("a") == 4
