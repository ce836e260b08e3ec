"""Place an order: open it, hold the stock, take the money, book a courier — or leave no trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

from domain.amends.errors import Refusal
from domain.amends.sensitive import PERSONAL
from domain.money import Money
from domain.ordering import Line, OrderRequest, cancel, confirm, orders, place
from workflows.amends.saga import Call, Retry, Saga, Transaction, Undo, seconds, step, transaction


class OutOfStock(Refusal, name="out-of-stock"):
    """{sku} is out of stock."""

    sku: str


class CardDeclined(Refusal, name="card-declined"):
    """The card was declined: {reason}."""

    reason: str


class NoCourier(Refusal, name="no-courier"):
    """No courier delivers to postcode {postcode}."""

    postcode: Annotated[str, PERSONAL]


@dataclass(frozen=True)
class Receipt:
    id: str
    amount: Money


@dataclass(frozen=True)
class Parcel:
    id: str


@dataclass(frozen=True)
class Confirmation:
    order_id: str
    receipt_id: str
    parcel_id: str


class Stock(Protocol):
    async def hold(self, lines: Sequence[Line], *, reference: str, key: str) -> None: ...
    async def release(self, *, of: str, reference: str, key: str) -> None: ...


class Payments(Protocol):
    async def charge(self, token: str, amount: Money, *, reference: str, key: str) -> Receipt: ...
    async def refund(self, *, of: str, reference: str, key: str) -> None: ...


class Couriers(Protocol):
    async def book(self, postcode: str, *, reference: str, key: str) -> Parcel: ...


@dataclass(frozen=True)
class PlaceOrder(Saga[OrderRequest, Confirmation], name="place-order", version=1):
    stock: Stock
    payments: Payments
    couriers: Couriers

    def reference(self, request: OrderRequest) -> str:
        return request.order_id

    async def run(self, request: OrderRequest) -> Confirmation:
        await self.open_order(request)
        await self.hold_stock(request)
        receipt = await self.charge_card(request)
        parcel = await self.book_courier(request)
        await self.confirm_order(request, receipt, parcel)
        return Confirmation(request.order_id, receipt.id, parcel.id)

    @transaction
    async def open_order(self, tx: Transaction, request: OrderRequest) -> None:
        await tx.decide(orders, request.order_id, place, request)

    @open_order.compensation
    async def cancel_order(self, tx: Transaction, request: OrderRequest) -> None:
        await tx.decide(orders, request.order_id, cancel, "could not be fulfilled")

    @step(retry=Retry(attempts=5), timeout=seconds(10))
    async def hold_stock(self, call: Call, request: OrderRequest) -> None:
        await self.stock.hold(request.lines, reference=request.order_id, key=call.key)

    @hold_stock.compensation
    async def release_stock(self, undo: Undo[None], request: OrderRequest) -> None:
        await self.stock.release(of=undo.of, reference=request.order_id, key=undo.key)

    @step(retry=Retry(attempts=5, first_wait=seconds(0.2)), timeout=seconds(5))
    async def charge_card(self, call: Call, request: OrderRequest) -> Receipt:
        return await self.payments.charge(
            request.payment_token, request.total, reference=request.order_id, key=call.key
        )

    @charge_card.compensation
    async def refund_card(self, undo: Undo[Receipt], request: OrderRequest) -> None:
        await self.payments.refund(of=undo.of, reference=request.order_id, key=undo.key)

    @step(pivot=True, retry=Retry(attempts=10), timeout=seconds(10))
    async def book_courier(self, call: Call, request: OrderRequest) -> Parcel:
        return await self.couriers.book(request.postcode, reference=request.order_id, key=call.key)

    @transaction(compensation=None)
    async def confirm_order(self, tx: Transaction, request: OrderRequest, receipt: Receipt, parcel: Parcel) -> None:
        await tx.decide(orders, request.order_id, confirm, receipt.id, parcel.id)
