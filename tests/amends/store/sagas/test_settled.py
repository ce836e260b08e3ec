"""A saga that waits for a provider leaves nothing behind that is not on record; who runs it next may."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import psycopg
import pytest
from dbos import DBOS
from sqlalchemy import URL

from app.amends.postgres.urls import conninfo
from domain.amends.event import Cause
from tests.amends.contracts.test_dbos_contract import engine
from workflows.amends.call import ProviderDown
from workflows.amends.executor.engine import Engine
from workflows.amends.saga import Call, Saga, step


@dataclass(frozen=True)
class Waits(Saga[str, str], name="waits"):
    """Its provider is down at its first call; the next one looks at the row of its saga."""

    url: URL
    seen: list[tuple[bool, bool]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)

    async def run(self, request: str) -> str:
        await self.call_it(request)
        return request

    @step(compensation=None)
    async def call_it(self, call: Call, request: str) -> None:
        self.calls.append(call.key)
        if len(self.calls) == 1:
            raise ProviderDown("stock", "connection refused")
        self.seen.append(await asyncio.to_thread(settled, self.url, request))


def settled(url: URL, id: str) -> tuple[bool, bool]:
    with psycopg.connect(conninfo(url)) as sql:
        row = sql.execute("select settled, was_settled from amends.sagas where id = %s", (id,)).fetchone()
    assert row is not None
    return row[0], row[1]


def waits(url: URL, id: str) -> bool:
    with psycopg.connect(conninfo(url)) as sql:
        found = sql.execute("select provider from amends.sagas where id = %s", (id,)).fetchone()
    return found == ("stock",)


async def waiting(running: Engine, url: URL, id: str) -> None:
    """Start it, and return once it waits."""
    await running.start(running.saga_client.newest_definition("waits"), id, id, Cause())
    async with asyncio.timeout(20):
        while not waits(url, id):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("by", ["us", "DBOS"])
async def test_who_runs_it_next_says_that_a_step_may_be_in_doubt(database_18: URL, by: str) -> None:
    saga = Waits(database_18)
    async with engine(database_18, saga) as running:
        if by == "DBOS":
            await running._waiters.stop()  # so that we do not let it go on
        await waiting(running, database_18, "w-1")
        if by == "DBOS":  # its own queue runs it, and its own count of executions begins anew
            await asyncio.to_thread(DBOS.resume_workflow, "w-1")
        async with asyncio.timeout(30):
            while not saga.seen:
                await asyncio.sleep(0.01)
    (seen,) = saga.seen
    assert seen == (False, by == "us"), "settled no more; and whoever claimed it knows that it was"
