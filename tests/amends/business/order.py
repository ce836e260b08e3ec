"""An order is placed; nothing of it is ever taken back."""

from __future__ import annotations

from dataclasses import dataclass

from domain.amends.aggregate import Aggregate
from domain.amends.event import event


@event("order-placed")
class OrderPlaced:
    order_id: str


@dataclass(frozen=True)
class Order:
    order_id: str


def evolve(order: Order | None, event: OrderPlaced) -> Order | None:
    return Order(event.order_id)


orders: Aggregate[Order | None, OrderPlaced] = Aggregate("order", initial=None, evolve=evolve)
