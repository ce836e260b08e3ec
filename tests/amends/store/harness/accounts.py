"""Accounts in the database without HTTP: as much as the tests of histories need."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import URL

from app.amends.store.aggregates.loader import AggregateLoader
from app.amends.store.aggregates.repository import Decided, Repository
from app.amends.store.aggregates.time_travel import TimeTravel
from app.amends.store.aggregates.undo import UndoAction, UndoRedo
from app.amends.store.events.postgres_events import PostgresEvents
from domain.amends.event import Cause
from tests.amends.business.account import Account, OpenAccount, accounts, deposit, open_account, withdraw
from tests.amends.store.harness.sagas import Store, store
from workflows.amends.ports.event_store import new_business_event


@dataclass(frozen=True)
class Bank:
    """One account after the other, decided about and looked at."""

    store: Store
    events: PostgresEvents
    loader: AggregateLoader
    history: TimeTravel
    undoing: UndoRedo
    repository: Repository

    async def open(self, id: str, balance: int = 0) -> None:
        await self.decide(id, open_account, OpenAccount(id, "Ann", "EUR", balance))

    async def deposit(self, id: str, amount: int) -> None:
        await self.decide(id, deposit, amount)

    async def withdraw(self, id: str, amount: int) -> None:
        await self.decide(id, withdraw, amount)

    async def decide(self, id: str, decision: Any, *args: Any) -> Decided[Account | None]:
        return await self.repository.acting(Cause(actor="ann")).decide(accounts, id, decision, *args)

    async def reverse(self, action: UndoAction, id: str, version: int | None = None) -> Decided[Any]:
        stream = accounts.stream(id)
        return await self.undoing.perform(action, accounts, stream, version, Cause(actor="bob"), "a mistake")

    async def append(self, id: str, *events: object) -> None:
        stream = accounts.stream(id)
        await self.events.append([new_business_event(stream, event, Cause()) for event in events])

    async def balance(self, id: str) -> int:
        account, _ = await self.repository.load(accounts, id)
        assert account is not None
        return account.balance

    async def told(self, id: str) -> Sequence[str]:
        return [event.name for event in await self.events.read(accounts.stream(id), limit=10_000)]


@asynccontextmanager
async def bank(url: URL, snapshot_every: int = 500) -> AsyncIterator[Bank]:
    async with store(url, connections=8, snapshot_every=snapshot_every) as it:
        events, loader = PostgresEvents(it.writer, it.reader), it.loader
        history, undoing = TimeTravel(events, loader), UndoRedo(events, loader)
        yield Bank(it, events, loader, history, undoing, Repository(events, loader))
        await loader.settle()
