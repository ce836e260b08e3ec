"""Sell an article: have it packed, and hand it over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from domain.selling import hand_over, open_sale, sales
from workflows.amends.saga import Call, Saga, Transaction, Undo, step, transaction


@dataclass(frozen=True)
class Order:
    sale_id: str
    article: str


class Packers(Protocol):
    async def pack(self, article: str, *, key: str) -> str: ...
    async def unpack(self, *, of: str, key: str) -> None: ...


@dataclass(frozen=True)
class Sell(Saga[Order, str], name="sell"):
    packers: Packers

    async def run(self, request: Order) -> str:
        parcel = await self.pack(request.article)
        await self.close(request, parcel)
        return parcel

    @step
    async def pack(self, call: Call, article: str) -> str:
        return await self.packers.pack(article, key=call.key)

    @pack.compensation
    async def unpack(self, undo: Undo[str], article: str) -> None:
        await self.packers.unpack(of=undo.of, key=undo.key)

    @transaction(compensation=None)
    async def close(self, tx: Transaction, request: Order, parcel: str) -> None:
        await tx.decide(sales, request.sale_id, open_sale, request.article)
        await tx.decide(sales, request.sale_id, hand_over, parcel)
