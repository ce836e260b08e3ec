"""An order is placed, and then either confirmed or cancelled."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from domain.amends.aggregate import Aggregate
from domain.amends.errors import Invalid, Refusal
from domain.amends.event import event
from domain.amends.sensitive import PERSONAL, SECRET
from domain.money import CURRENCY, Money

ID = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._:-]{1,100}")
"""Not . and .., which no path can name."""
LONGEST = 200
"""How many characters a text has at most: as many as its provider and its index take."""
MOST_LINES = 1000
MOST = 10**15
"""What an order may cost at most, in minor units: as much as its provider and its column take."""


@dataclass(frozen=True)
class Line:
    """So many of one article; the price is in minor units of the order's currency."""

    sku: str
    quantity: int
    unit_price: int

    def __post_init__(self) -> None:
        if not 1 <= len(self.sku.strip()) <= LONGEST:
            raise Invalid("sku", f"must have 1 to {LONGEST} characters")
        if not 1 <= self.quantity <= 1_000_000:
            raise Invalid("quantity", f"must be between 1 and 1000000, but is {self.quantity}")
        if not 0 <= self.unit_price <= 10**12:
            raise Invalid("unit_price", f"must be between 0 and 10^12 minor units, but is {self.unit_price}")


@dataclass(frozen=True)
class OrderRequest:
    """What a customer asks for."""

    order_id: str
    customer_id: str
    currency: str
    lines: tuple[Line, ...]
    payment_token: Annotated[str, SECRET]
    postcode: Annotated[str, PERSONAL]

    def __post_init__(self) -> None:
        if not ID.fullmatch(self.order_id):
            raise Invalid("order_id", "must be 1 to 100 letters, digits or . _ : -, and not . or ..")
        if not CURRENCY.fullmatch(self.currency):
            raise Invalid("currency", "must be a three-letter ISO 4217 code such as EUR")
        if not 1 <= len(self.lines) <= MOST_LINES:
            raise Invalid("lines", f"must be 1 to {MOST_LINES} lines, but there are {len(self.lines)}")
        if self.total.amount > MOST:
            raise Invalid("lines", f"cost {self.total.amount} together, which is more than 10^15 minor units")
        for field in ("customer_id", "payment_token", "postcode"):
            if not 1 <= len(getattr(self, field).strip()) <= LONGEST:
                raise Invalid(field, f"must have 1 to {LONGEST} characters")

    @property
    def total(self) -> Money:
        """What all lines cost together."""
        return Money(sum(line.quantity * line.unit_price for line in self.lines), self.currency)


@event("order-placed")
class OrderPlaced:
    order_id: str
    customer_id: str
    lines: tuple[Line, ...]
    total: Money


@event("order-confirmed")
class OrderConfirmed:
    order_id: str
    receipt_id: str
    parcel_id: str


@event("order-cancelled")
class OrderCancelled:
    order_id: str
    reason: str


OrderEvent = OrderPlaced | OrderConfirmed | OrderCancelled


@dataclass(frozen=True)
class Order:
    """An order as it stands."""

    order_id: str
    customer_id: str
    total: Money
    status: Literal["placed", "confirmed", "cancelled"] = "placed"
    receipt_id: str | None = None
    parcel_id: str | None = None
    reason: str | None = None


class OrderClosed(Refusal, name="order-closed"):
    """Order {order_id} is {status} and cannot be {wanted}."""

    order_id: str
    status: str
    wanted: str


def evolve(order: Order | None, event: OrderPlaced | OrderConfirmed | OrderCancelled) -> Order | None:
    match event:
        case OrderPlaced():
            return Order(event.order_id, event.customer_id, event.total)
        case OrderConfirmed():
            return order and replace(order, status="confirmed", receipt_id=event.receipt_id, parcel_id=event.parcel_id)
        case OrderCancelled():
            return order and replace(order, status="cancelled", reason=event.reason)


orders: Aggregate[Order | None, OrderEvent] = Aggregate("order", initial=None, evolve=evolve)


def place(order: Order | None, request: OrderRequest) -> Sequence[OrderEvent]:
    """An order that was cancelled may be placed again, with another card for instance."""
    if order and order.status != "cancelled":
        raise OrderClosed(order.order_id, order.status, "placed again")
    return [OrderPlaced(request.order_id, request.customer_id, request.lines, request.total)]


def confirm(order: Order | None, receipt_id: str, parcel_id: str) -> Sequence[OrderEvent]:
    match order:
        case Order(status="placed"):
            return [OrderConfirmed(order.order_id, receipt_id, parcel_id)]
        case Order(status="confirmed", receipt_id=known) if known == receipt_id:
            return []
        case _:
            raise _closed(order, "confirmed")


def cancel(order: Order | None, reason: str) -> Sequence[OrderEvent]:
    match order:
        case Order(status="placed"):
            return [OrderCancelled(order.order_id, reason)]
        case Order(status="cancelled"):
            return []
        case _:
            raise _closed(order, "cancelled")


def _closed(order: Order | None, wanted: str) -> OrderClosed:
    return OrderClosed(order.order_id, order.status, wanted) if order else OrderClosed("?", "unknown", wanted)
