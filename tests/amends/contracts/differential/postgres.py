"""The store in Postgres under test: its clock is told the time, and it is emptied between two histories."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import psycopg
from dbos import DBOSClient, SetWorkflowID
from dbos._error import DBOSNonExistentWorkflowError
from psycopg.rows import dict_row
from sqlalchemy import URL

from app.amends.postgres.sql_files import load_statements
from app.amends.postgres.urls import conninfo
from app.amends.store.aggregates.repository import Repository
from app.amends.store.aggregates.time_travel import TimeTravel
from app.amends.store.aggregates.undo import UndoRedo
from app.amends.store.brakes import PostgresBrakes
from app.amends.store.events.postgres_events import PostgresEvents
from app.amends.store.outages import SQL as OUTAGES
from app.amends.store.sagas.heartbeats import Heartbeat
from domain.amends.errors import NotFound
from tests.amends.contracts.differential.sides import DbosSide
from tests.amends.store.harness.sagas import Store, store
from workflows.amends.ports.brakes import BrakeStore
from workflows.amends.ports.event_store import EventStore, FeedCursor, StoredEvent
from workflows.amends.ports.executors import Leases
from workflows.amends.ports.saga_store import SagaStore
from workflows.amends.providers import Outage
from workflows.amends.values.codec import json_text

SQL = load_statements(Path(__file__).with_name("postgres.sql"))


class PostgresDbos:
    """What DBOS does, done by DBOS, but for its dequeue, which needs an executor of DBOS."""

    def __init__(self, client: DBOSClient, sql: psycopg.AsyncConnection[Any], it: Store) -> None:
        self._client, self._sql, self._store = client, sql, it

    async def outcome(self, id: str, owner: str, status: Literal["SUCCESS", "ERROR"], error: str | None) -> bool:
        output = "null" if status == "SUCCESS" else None
        error = None if status == "SUCCESS" else error
        write = self._client._sys_db.update_workflow_outcome
        return await asyncio.to_thread(write, id, status, output=output, error=error, owner_xid=owner)

    async def fork(self, id: str, fork: str, start_step: int) -> None:
        with SetWorkflowID(fork), _not_found(id):
            await self._client.fork_workflow_async(id, start_step)

    async def cancel(self, id: str) -> None:
        await self._client.cancel_workflow_async(id)

    async def resume(self, id: str) -> None:
        with _not_found(id):
            await self._client.resume_workflow_async(id)

    async def dequeue(self, executor: str, owner: str) -> list[str]:
        rows = await (await self._sql.execute(SQL["dequeue"], {"executor": executor, "owner": owner})).fetchall()
        return [row["id"] for row in rows]

    async def report_outages(self, executor: str, outages: Sequence[Outage], changed: Sequence[str]) -> None:
        told = [{"provider": each.provider, "down_since": each.since, "error": each.error} for each in outages]
        down = [each.provider for each in outages]
        parameters = {"executor": executor, "providers": down, "known": list(changed), "outages": json_text(told)}
        await self._store.committer.run(OUTAGES["report"], parameters)


@contextmanager
def _not_found(id: str) -> Iterator[None]:
    try:
        yield
    except DBOSNonExistentWorkflowError as unknown:
        raise NotFound("workflow", id) from unknown


class PostgresSide:
    """The store in Postgres, with the rights that the service has."""

    def __init__(self, it: Store, beat: Heartbeat, sql: psycopg.AsyncConnection[Any], client: DBOSClient) -> None:
        self._sql = sql
        self.sagas: SagaStore = it.sagas
        self.brakes: BrakeStore = PostgresBrakes(it.committer, it.reader)
        self.leases: Leases = beat
        events = PostgresEvents(it.writer, it.reader)
        self.events: EventStore = events
        self.repository = Repository(events, it.loader)
        self.undoing, self.travel = UndoRedo(events, it.loader), TimeTravel(events, it.loader)
        self.dbos: DbosSide = PostgresDbos(client, sql, it)

    async def tell_time(self, now: datetime) -> None:
        await self._sql.execute(SQL["tell_time"], (now,))

    async def empty(self) -> None:
        """Forget everything."""
        await self._sql.execute(SQL["empty"])

    async def feed(self, after: FeedCursor, count: int) -> list[StoredEvent]:
        row = await (await self._sql.execute(SQL["count"])).fetchone()
        assert row is not None
        async with asyncio.timeout(20):
            while len(found := await self.events.feed(after, limit=1_000_000)) < row["events"] - count:
                await asyncio.sleep(0.005)
        return found

    async def state(self) -> dict[str, Any]:
        row = await (await self._sql.execute(SQL["state"])).fetchone()
        assert row is not None
        found: dict[str, Any] = row["state"]
        return found


@asynccontextmanager
async def postgres(url: URL) -> AsyncIterator[PostgresSide]:
    """A fresh database, with a clock that only moves when it is told to."""
    async with await psycopg.AsyncConnection.connect(conninfo(url), autocommit=True, row_factory=dict_row) as sql:
        await sql.execute(SQL["clock"])
        await sql.execute(SQL["as_told"])
        client = await asyncio.to_thread(lambda: DBOSClient(system_database_url=conninfo(url)))
        beat = Heartbeat(url)
        try:
            async with store(url, snapshot_every=3) as it:
                yield PostgresSide(it, beat, sql, client)
        finally:
            beat.close()
            await asyncio.to_thread(client.destroy)
