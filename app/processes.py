"""Every business process that this server runs. A new one is added here."""

from __future__ import annotations

from typing import Any

import httpx

from app.gateways.provider import Connections, HttpCouriers, HttpPayments, HttpStock, HttpTravel
from workflows.book_group_trip import BookGroupTrip
from workflows.book_trip import BookTrip
from workflows.place_order import PlaceOrder
from workflows.providers import Providers
from workflows.saga import Saga
from workflows.transfer_money import TransferMoney


def sagas(provider: Connections, approval_limit: int) -> list[Saga[Any, Any]]:
    """The sagas, each with its ports' implementations."""
    return [
        PlaceOrder(HttpStock(provider), HttpPayments(provider), HttpCouriers(provider)),
        BookTrip(HttpTravel(provider)),
        TransferMoney(approval_limit),
        BookGroupTrip(),
    ]


def unconnected() -> Connections:
    """A provider for those who look at sagas and run none."""
    return Connections(httpx.AsyncClient(trust_env=False), Providers())
