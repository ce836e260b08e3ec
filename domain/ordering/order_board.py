"""The order board: one line per order, with how it stands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from domain.amends.projection import Projection, Recorded
from domain.ordering.order import OrderCancelled, OrderConfirmed, OrderPlaced, orders


@dataclass(frozen=True)
class OrderRow:
    """`total` counts minor units of `currency`; `articles` is how many pieces, over all lines."""

    order_id: str
    customer_id: str
    status: Literal["placed", "confirmed", "cancelled"]
    total: int
    currency: str
    articles: int
    placed_at: datetime
    changed_at: datetime
    receipt_id: str | None = None
    parcel_id: str | None = None
    reason: str | None = None


def evolve(row: OrderRow | None, recorded: Recorded[OrderPlaced | OrderConfirmed | OrderCancelled]) -> OrderRow | None:
    event, at = recorded.event, recorded.at
    match event:
        case OrderPlaced():
            articles = sum(line.quantity for line in event.lines)
            total = event.total
            return OrderRow(event.order_id, event.customer_id, "placed", total.amount, total.currency, articles, at, at)
        case OrderConfirmed():
            receipt, parcel = event.receipt_id, event.parcel_id
            return row and replace(row, status="confirmed", changed_at=at, receipt_id=receipt, parcel_id=parcel)
        case OrderCancelled():
            return row and replace(row, status="cancelled", changed_at=at, reason=event.reason)


order_board = Projection(
    "order_board",
    version=1,
    of=orders,
    evolve=evolve,
    key="order_id",
    indexes=[("status", "placed_at"), ("customer_id", "placed_at")],
)
