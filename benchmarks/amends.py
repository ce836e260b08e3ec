"""A saga of five steps that each append one event, on the engine as it is served."""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from sqlalchemy import URL

from app.amends.postgres.connections.pool import Pool
from app.amends.postgres.statements.committer import Committer
from app.amends.postgres.statements.reader import Reader
from app.amends.postgres.urls import conninfo
from app.amends.store.aggregates.loader import AggregateLoader
from app.amends.store.events.writer import EventWriter
from app.amends.store.sagas.heartbeats import Heartbeat
from app.amends.store.sagas.postgres_sagas import PostgresSagas
from domain.amends.event import Cause, event
from workflows.amends.client import SagaClient
from workflows.amends.dbos.engine import engine_on_dbos
from workflows.amends.saga import Saga, Transaction, transaction


@event("bench-happened")
class BenchHappened:
    number: int


@dataclass(frozen=True)
class FiveSteps(Saga[str, str], name="five-steps"):
    async def run(self, request: str) -> str:
        for number in range(1, 6):
            await self.append(request, number)
        return request

    @transaction(compensation=None)
    async def append(self, tx: Transaction, stream: str, number: int) -> None:
        tx.append(stream, BenchHappened(number))


class Amends:
    """The engine without HTTP; one that is not `serving` runs nothing."""

    def __init__(self, url: URL, saga: Saga[Any, Any] | None = None, serving: bool = True) -> None:
        self._url, self._stack, self._serving = url, AsyncExitStack(), serving
        self._saga = saga or FiveSteps()

    async def __aenter__(self) -> Amends:
        readers, committer = Pool(self._url, 8), Committer(self._url, 8)
        await self._stack.enter_async_context(readers)
        committer.start()
        self._stack.push_async_callback(committer.stop)
        self.reader = Reader(readers)
        store = PostgresSagas(EventWriter(committer), self.reader, AggregateLoader(committer, self.reader, 500))
        self.store, self.client = store, SagaClient([self._saga], store)
        if not self._serving:
            return self
        self.engine = engine_on_dbos(
            [self._saga], store, conninfo(self._url), Heartbeat(self._url).renew_lease, lambda: os._exit(70)
        )
        await self.engine.launch()
        self._stack.push_async_callback(self.engine.shut_down)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def run(self, id: str) -> None:
        """One saga, from its start to its recorded end."""
        await self.run_saga("five-steps", f"bench-{id}", id)

    async def run_saga(self, name: str, request: object, id: str) -> None:
        """One saga, from its start until it is finished or rests."""
        await self.engine.start(self.engine.saga_client.newest_definition(name), request, id, Cause())
        while tasks := [each.task for (known, _), each in self.engine.running.items() if known == id]:
            (task,) = tasks
            if task is None:
                await asyncio.sleep(0)
            else:
                await asyncio.wait([task])
                await asyncio.sleep(0)
