"""Commits that wait, for somebody's locks or for a database that is away, hold up no others and nobody for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.roles import as_service
from app.amends.postgres.statements.committer import Committer
from app.amends.postgres.urls import conninfo
from app.amends.store.events.postgres_events import PostgresEvents
from domain.amends.errors import Unavailable
from tests.amends.store.harness.sagas import event, started, step_commit, store
from tests.amends.store.harness.trouble import limited, tries, trouble, until
from workflows.amends.ports.event_store import AppendResult
from workflows.amends.ports.execution_log import Committed

__all__ = ["trouble"]

Sql = psycopg.Connection
NEXT = "select nextval('public.tries')"


@asynccontextmanager
async def committing(url: URL, connections: int) -> AsyncIterator[Committer]:
    committer = Committer(as_service(url), connections)
    committer.start()
    try:
        yield committer
    finally:
        await committer.stop()


async def test_row_locks_on_as_many_sagas_as_there_are_connections_stop_no_others(database: URL, trouble: Sql) -> None:
    async with store(limited(database, lock_timeout="100ms"), connections=4) as it:
        sagas = [await started(it) for _ in range(4)]
        with psycopg.connect(conninfo(database)) as holder:
            holder.execute("select from dbos.workflow_status where workflow_uuid = any (%s) for update", (sagas,))
            commits = [asyncio.create_task(it.sagas.commit(saga, "me", step_commit(saga, 1))) for saga in sagas]
            await until(lambda: it.committer._waiting_for_others > 0)
            events = PostgresEvents(it.writer, it.reader)
            for number in range(50):
                assert isinstance(await events.append([event(f"free-{number}")]), AppendResult)
                assert it.committer._waiting_for_others <= 2
            await started(it)
            assert not any(each.done() for each in commits)
        assert await asyncio.gather(*commits) == [Committed()] * 4


async def test_who_has_patience_is_answered_in_time_behind_those_who_have_much(database: URL, trouble: Sql) -> None:
    async with committing(database.set(port=1), 1) as committer:
        endless = [asyncio.create_task(committer.run(NEXT, ())) for _ in range(20)]
        shared = "select number - 1, 'done' from jsonb_array_elements(%s::jsonb) with ordinality as _ (item, number)"
        for asked in (committer.run(NEXT, (), 0.2), committer.run_shared(shared, "1", 0.2)):
            with pytest.raises(Unavailable):
                await asked
        assert not any(each.done() for each in endless)
        for each in endless:
            each.cancel()


async def test_what_nobody_waits_for_any_more_is_not_sent(database: URL, trouble: Sql) -> None:
    trouble.execute("create table public.gate (n int); grant select on public.gate to amends_service")
    url = limited(database, lock_timeout="10s")
    async with committing(url, 1) as committer:
        with psycopg.connect(conninfo(database)) as holder:
            holder.execute("lock table public.gate in access exclusive mode")
            first = asyncio.create_task(committer.run("select count(*) from public.gate", ()))
            await until(lambda: _waits(trouble))
            with pytest.raises(Unavailable):
                await committer.run(NEXT, (), 0.1)
            left = asyncio.create_task(committer.run(NEXT, ()))
            await asyncio.sleep(0)
            left.cancel()
        assert await first == [(0,)]
        assert await committer.run("select 1", ()) == [(1,)]
    assert tries(trouble) == 0


async def test_what_is_sent_again_comes_after_what_is_ready(database: URL, trouble: Sql) -> None:
    async with committing(database, 1) as committer:
        again = asyncio.create_task(committer.run("select public.fail(%s, %s)", (30, "40001")))
        await until(lambda: tries(trouble) > 1)
        for _ in range(20):
            await committer.run("select 1", ())
        assert not again.done()
        again.cancel()


def _waits(sql: Sql) -> bool:
    asked = "select from pg_stat_activity where wait_event_type = 'Lock' and application_name = 'amends committer'"
    return bool(sql.execute(asked + " and datname = current_database()").fetchall())
