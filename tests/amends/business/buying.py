"""Buy something: note the purchase, pay, have it delivered — or be paid back; every payment is noted in a ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from app.amends.postgres.connections.pool import Pool, borrowed_connection
from domain.amends.aggregate import Aggregate
from domain.amends.errors import Refusal
from domain.amends.event import event
from workflows.amends.saga import Call, Retry, Saga, Transaction, Undo, step, transaction


@event("purchase-noted")
class PurchaseNoted:
    article: str


@event("purchase-dropped")
class PurchaseDropped:
    pass


def evolve(article: str | None, event: PurchaseNoted | PurchaseDropped) -> str | None:
    return event.article if isinstance(event, PurchaseNoted) else None


purchases: Aggregate[str | None, PurchaseNoted | PurchaseDropped] = Aggregate("purchase", None, evolve)


def note(article: str | None, wanted: str) -> Sequence[PurchaseNoted]:
    return [PurchaseNoted(wanted)]


def drop(article: str | None) -> Sequence[PurchaseDropped]:
    return [PurchaseDropped()]


class NobodyDelivers(Refusal, name="nobody-delivers"):
    """Nobody delivers {article}."""

    article: str


@dataclass(frozen=True)
class Purchase:
    id: str
    article: str
    delivered: bool = True


class Ledger(Protocol):
    async def enter(self, entry: str, *, reference: str, key: str) -> None: ...


@dataclass(frozen=True)
class Buy(Saga[Purchase, str], name="buy"):
    ledger: Ledger

    def reference(self, request: Purchase) -> str:
        return request.id

    async def run(self, request: Purchase) -> str:
        await self.note_it(request)
        await self.pay(request)
        await self.deliver(request)
        return f"{request.article} is delivered"

    @transaction
    async def note_it(self, tx: Transaction, request: Purchase) -> None:
        await tx.decide(purchases, request.id, note, request.article)

    @note_it.compensation
    async def drop_it(self, tx: Transaction, request: Purchase) -> None:
        await tx.decide(purchases, request.id, drop)

    @step(retry=Retry(attempts=10))
    async def pay(self, call: Call, request: Purchase) -> None:
        await self.ledger.enter("paid", reference=request.id, key=call.key)

    @pay.compensation
    async def pay_back(self, undo: Undo[None], request: Purchase) -> None:
        await self.ledger.enter("paid back", reference=request.id, key=undo.key)

    @step(pivot=True, retry=Retry(attempts=10))
    async def deliver(self, call: Call, request: Purchase) -> None:
        if not request.delivered:
            raise NobodyDelivers(request.article)
        await self.ledger.enter("delivered", reference=request.id, key=call.key)


LEDGER = """
create schema ledger;
create table ledger.entries (key text primary key, entry text, reference text);
grant usage on schema ledger to amends_service;
grant select, insert on ledger.entries to amends_service;
"""


@dataclass(frozen=True)
class TableLedger:
    """A ledger in the database, which takes one entry under one key."""

    pool: Pool

    async def enter(self, entry: str, *, reference: str, key: str) -> None:
        sql = "insert into ledger.entries values (%s, %s, %s) on conflict (key) do nothing"
        async with borrowed_connection(self.pool) as connection, connection.transaction():
            await connection.execute(sql, (key, entry, reference))
