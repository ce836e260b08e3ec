"""Read by type checkers, never run: each line marked `wrong` must be refused, and no other."""

from __future__ import annotations

from dataclasses import dataclass

from domain.ordering import OrderRequest, orders, place
from workflows.amends.saga import Call, Saga, Transaction, Undo, step, transaction


@dataclass(frozen=True)
class Typed(Saga[OrderRequest, str], name="typed"):
    async def run(self, request: OrderRequest) -> str:
        number: int = await self.charge(request, 5)
        text: str = await self.charge(request, 5)  # wrong
        await self.charge(request)  # wrong
        await self.charge(request, "5")  # wrong
        await self.open(request)
        return f"{number}{text}"

    @step
    async def charge(self, call: Call, request: OrderRequest, amount: int) -> int:
        return amount

    @charge.compensation
    async def refund(self, undo: Undo[int], request: OrderRequest, amount: int) -> None: ...

    @step
    async def hold(self, call: Call, request: OrderRequest) -> None: ...

    @hold.compensation  # wrong
    async def release(self, undo: Undo[None], request: str) -> None: ...

    @step
    async def book(self, call: Call, request: OrderRequest) -> str:
        return ""

    @book.compensation  # wrong
    async def unbook(self, undo: Undo[int], request: OrderRequest) -> None: ...

    @step
    async def pack(self, call: Call, request: OrderRequest) -> None: ...

    @pack.compensation  # wrong
    async def unpack(self, undo: Undo[None]) -> None: ...

    @transaction
    async def open(self, tx: Transaction, request: OrderRequest) -> None:
        await tx.decide(orders, request.order_id, place, request)
        await tx.decide(orders, request.order_id, place, "no request")  # wrong

    @open.compensation
    async def close(self, tx: Transaction, request: OrderRequest) -> None: ...

    @transaction
    async def note(self, tx: Transaction, request: OrderRequest) -> None: ...

    @note.compensation  # wrong
    async def unnote(self, undo: Undo[None], request: OrderRequest) -> None: ...
