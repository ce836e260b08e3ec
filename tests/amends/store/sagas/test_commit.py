"""One step is one commit: what it writes stands together, once, or not at all."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.statements.committer import Committer
from app.amends.postgres.urls import conninfo
from domain.amends.errors import Unstorable
from tests.amends.store.harness.sagas import checkpoint, event, started, step_commit, store
from workflows.amends.ports.execution_log import Committed, Fenced, StatusChange, StepCommit

Sql = psycopg.Connection


def rows(sql: Sql, statement: str, *parameters: object) -> list[tuple[object, ...]]:
    return sql.execute(statement, parameters).fetchall()


def events_of(sql: Sql, stream: str) -> list[tuple[object, ...]]:
    return rows(sql, "select version, type from amends.events where stream = %s order by version", stream)


def steps_of(sql: Sql, saga: str) -> list[tuple[object, ...]]:
    return rows(
        sql,
        "select function_id, function_name, output, error from dbos.operation_outputs"
        " where workflow_uuid = %s order by 1",
        saga,
    )


async def until(met: Callable[[], bool]) -> None:
    """Wait for a condition, not for a time."""
    async with asyncio.timeout(20):
        while not met():
            await asyncio.sleep(0.01)


async def test_events_checkpoint_and_status_are_one_transaction(database: URL, sql: Sql) -> None:
    async with store(database) as it:
        saga = await started(it)
        change = StatusChange("stuck", "because")
        one = StepCommit(
            [event(f"saga-{saga}"), event("order-1"), event("order-1")], {"order-1": 0}, checkpoint(1), change
        )
        assert await it.sagas.commit(saga, "me", one) == Committed()
    assert [version for version, _ in events_of(sql, "order-1")] == [1, 2]
    assert steps_of(sql, saga) == [(1, "step", '"done"', None)]
    assert rows(sql, "select status, reason from amends.sagas where id = %s", saga) == [("stuck", "because")]
    written = rows(
        sql,
        "select distinct transaction_id::text from amends.events where stream in ('order-1', %s) and version > %s",
        f"saga-{saga}",
        0,
    )
    checkpointed = rows(sql, "select xmin::text from dbos.operation_outputs where workflow_uuid = %s", saga)
    assert len(written) == 2, "the start's transaction and the step's"
    assert checkpointed[0] in written


async def test_a_commit_is_resent_when_its_connection_dies(database: URL, sql: Sql) -> None:
    async with store(database, connections=1) as it:
        saga = await started(it)
        for step_id in range(1, 21):
            sql.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'amends committer'"
            )
            assert await it.sagas.commit(saga, "me", step_commit(saga, step_id)) == Committed()
    assert len(events_of(sql, f"saga-{saga}")) == 21
    assert len(steps_of(sql, saga)) == 20


async def test_a_takeover_while_a_commit_waits_for_its_row_fences_it(database: URL, sql: Sql) -> None:
    async with store(database) as it:
        saga = await started(it)
        with psycopg.connect(conninfo(database)) as takeover:
            takeover.execute("update dbos.workflow_status set owner_xid = 'another' where workflow_uuid = %s", (saga,))
            commit = asyncio.create_task(it.sagas.commit(saga, "me", step_commit(saga, 1, event("order-1"))))
            await until(lambda: bool(rows(sql, "select from pg_stat_activity where wait_event_type = 'Lock'")))
            takeover.commit()
        with pytest.raises(Fenced):
            await commit
    assert events_of(sql, "order-1") == []
    assert steps_of(sql, saga) == []


async def test_a_takeover_that_is_rolled_back_fences_nobody(database: URL, sql: Sql) -> None:
    async with store(database) as it:
        saga = await started(it)
        with psycopg.connect(conninfo(database)) as takeover:
            takeover.execute("update dbos.workflow_status set owner_xid = 'another' where workflow_uuid = %s", (saga,))
            commit = asyncio.create_task(it.sagas.commit(saga, "me", step_commit(saga, 1)))
            await until(lambda: bool(rows(sql, "select from pg_stat_activity where wait_event_type = 'Lock'")))
            takeover.rollback()
        assert await commit == Committed()


async def test_commits_that_cross_their_streams_never_block_each_other_for_good(database: URL, sql: Sql) -> None:
    async with store(database, connections=8) as it:
        sagas = [await started(it) for _ in range(8)]

        async def crossing(number: int) -> None:
            streams = ["order-a", "order-b"] if number % 2 else ["order-b", "order-a"]
            for step_id in range(1, 26):
                await it.sagas.commit(sagas[number], "me", step_commit(sagas[number], step_id, *map(event, streams)))

        await asyncio.gather(*map(crossing, range(8)))
    assert [version for version, _ in events_of(sql, "order-a")] == list(range(1, 201))
    assert [version for version, _ in events_of(sql, "order-b")] == list(range(1, 201))


async def test_values_that_postgres_cannot_hold_are_said_to_be_so(database: URL) -> None:
    async with store(database) as it:
        saga = await started(it)
        with pytest.raises(Unstorable):
            await it.sagas.commit(saga, "me", step_commit(saga, 1, event("order-1", data={"text": "\x00"})))
        assert await it.sagas.commit(saga, "me", step_commit(saga, 1)) == Committed()


async def test_transaction_ids_of_a_stream_rise_with_its_versions(database: URL, sql: Sql) -> None:
    async with store(database, connections=8) as it:
        sagas = [await started(it) for _ in range(8)]

        async def writing(saga: str) -> None:
            for step_id in range(1, 41):
                await it.sagas.commit(saga, "me", step_commit(saga, step_id, event("order-hot")))

        await asyncio.gather(*map(writing, sagas))
    disorder = """
        select count(*) from (
            select transaction_id::text::bigint < lag(transaction_id::text::bigint) over w
                   or position < lag(position) over w as wrong
              from amends.events window w as (partition by stream order by version)) as each where wrong"""
    assert rows(sql, disorder) == [(0,)]


async def test_a_committer_that_is_stopped_in_its_first_commit_leaves_no_connection(database: URL, sql: Sql) -> None:
    mine = "select state, query like '%%pg_sleep%%' from pg_stat_activity where application_name = 'amends committer'"
    committer = Committer(database, 1)
    committer.start()
    commit = asyncio.create_task(committer.run("select pg_sleep(2)", ()))
    await until(lambda: rows(sql, mine) == [("active", True)])
    await committer.stop()
    commit.cancel()
    gc.collect()  # a connection that is left to this is said, and fails the test
    await until(lambda: rows(sql, mine) == [])
