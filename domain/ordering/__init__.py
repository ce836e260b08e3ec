"""Orders: what a customer asked for, and whether it will be delivered."""

from domain.ordering.order import (
    Line,
    Order,
    OrderCancelled,
    OrderClosed,
    OrderConfirmed,
    OrderPlaced,
    OrderRequest,
    cancel,
    confirm,
    orders,
    place,
)

__all__ = [
    "Line",
    "Order",
    "OrderCancelled",
    "OrderClosed",
    "OrderConfirmed",
    "OrderPlaced",
    "OrderRequest",
    "cancel",
    "confirm",
    "orders",
    "place",
]
