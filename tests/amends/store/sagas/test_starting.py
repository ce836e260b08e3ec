"""A saga is started once per id, claimed by one executor, and taken over from the dead."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.urls import conninfo
from tests.amends.store.harness.sagas import Store, event, started, step_commit, store
from workflows.amends.ids import new_id
from workflows.amends.ports.execution_log import StartRequest
from workflows.amends.ports.saga_store import StartOutcome

Sql = psycopg.Connection
KINDS = ["place-order:1"]


async def start_again(it: Store, id: str, request: str) -> StartOutcome:
    start = StartRequest(id, "place-order", 1, "4711", id, request, "{}", event(f"saga-{id}"), None, None)
    found = await it.sagas.start(start)
    assert isinstance(found, StartOutcome)
    return found


async def register(it: Store, executor: str, lease: float = 60.0) -> None:
    await it.sagas.register_executor(executor, "here", 1, 0.0, KINDS, lease)


def status(sql: Sql, saga: str) -> Any:
    return sql.execute(
        "select w.status, w.executor_id, w.owner_xid, s.status, s.takeovers"
        " from dbos.workflow_status as w join amends.sagas as s on s.id = w.workflow_uuid where s.id = %s",
        (saga,),
    ).fetchone()


async def test_many_at_once_with_one_id_start_one_saga(database: URL, sql: Sql) -> None:
    async with store(database, connections=8) as it:
        id = str(new_id())
        outcomes = await asyncio.gather(*(start_again(it, id, "same") for _ in range(20)))
    assert sorted(outcome.value for outcome in outcomes) == ["repeated"] * 19 + ["started"]
    assert sql.execute("select count(*) from amends.events").fetchone() == (1,)


async def test_an_id_of_a_foreign_workflow_is_taken(database: URL, sql: Sql) -> None:
    sql.execute("insert into dbos.workflow_status (workflow_uuid, status, name) values ('x', 'SUCCESS', 'foreign')")
    async with store(database) as it:
        assert await start_again(it, "x", "any") is StartOutcome.TAKEN


async def test_a_queued_saga_is_claimed_by_one_executor(database: URL, sql: Sql) -> None:
    async with store(database, connections=8) as it:
        sagas = [await started(it, owner=None) for _ in range(30)]
        for number in range(6):
            await register(it, f"executor-{number}")
        claims = await asyncio.gather(
            *(it.sagas.claim(f"executor-{number}", f"owner-{number}", KINDS, 10) for number in range(6))
        )
        claimed = [saga.id for claim in claims for saga in claim]
        claimed += [saga.id for saga in await it.sagas.claim("executor-0", "again", KINDS, 30)]
    assert sorted(claimed) == sorted(sagas)
    assert status(sql, sagas[0])[0] == "PENDING"
    assert status(sql, sagas[0])[3] == "running"


async def test_what_a_dead_executor_ran_is_queued_again_once(database: URL, sql: Sql) -> None:
    async with store(database) as it:
        await register(it, "executor-1")
        saga = await started(it)
        ended = await asyncio.gather(*(it.sagas.end_executors(["executor-1"], "x", True) for _ in range(4)))
        assert sorted(ended) == [0, 0, 0, 1]
    assert status(sql, saga) == ("ENQUEUED", None, None, "running", 1)


async def test_deaths_without_progress_are_counted(database: URL, sql: Sql) -> None:
    async with store(database) as it:
        saga, owner = await started(it), "me"
        for death in range(1, 4):
            await register(it, f"executor-{death}")
            await it.sagas.end_executors([f"executor-{death}"], "x", True)
            assert status(sql, saga)[4] == death
            await register(it, f"executor-{death + 1}")
            owner = f"owner-{death}"
            await it.sagas.claim(f"executor-{death + 1}", owner, KINDS, 10)
        await it.sagas.commit(saga, owner, step_commit(saga, 1))
        await it.sagas.end_executors(["executor-4"], "x", True)
    assert status(sql, saga)[4] == 1, "there was progress"


async def test_a_hand_over_is_no_death(database: URL, sql: Sql) -> None:
    async with store(database) as it:
        await register(it, "executor-1")
        saga = await started(it)
        assert await it.sagas.end_executors(["executor-1"], "itself", False) == 1
    assert status(sql, saga) == ("ENQUEUED", None, None, "running", 0)


@pytest.mark.parametrize("how", ["ends", "hands over"])
async def test_a_saga_whose_row_is_locked_keeps_no_other_from_being_handed_over(
    database: URL, sql: Sql, how: str
) -> None:
    async with store(database) as it:
        await register(it, "executor-1")
        locked, free = await started(it), await started(it)
        with psycopg.connect(conninfo(database)) as holder:
            holder.execute("select from dbos.workflow_status where workflow_uuid = %s for update", (locked,))
            if how == "ends":
                assert await it.sagas.end_executors(["executor-1"], "itself", False) == 1
            else:
                assert await it.sagas.hand_over("executor-1", []) == 1
            assert (status(sql, locked)[0], status(sql, free)[0]) == ("PENDING", "ENQUEUED")
        if how == "ends":
            assert await it.sagas.release_orphans() == 1
        else:
            assert await it.sagas.hand_over("executor-1", []) == 1
        assert status(sql, locked)[:3] == ("ENQUEUED", None, None)


async def test_after_many_deaths_a_saga_waits_before_it_is_run_again(database: URL, sql: Sql) -> None:
    async with store(database) as it:
        saga = await started(it)
        sql.execute("update amends.sagas set takeovers = 5, progress = 1 where id = %s", (saga,))
        await register(it, "executor-1")
        await register(it, "executor-2")
        await it.sagas.end_executors(["executor-1"], "x", True)
        assert await it.sagas.claim("executor-2", "o", KINDS, 10) == []
        waits = "select not_before between now() - interval '1 s' and now() + interval '2 s' from amends.sagas"
        assert sql.execute(waits).fetchone() == (True,)
        sql.execute("update amends.sagas set not_before = now()")
        assert [claimed.id for claimed in await it.sagas.claim("executor-2", "o", KINDS, 10)] == [saga]
