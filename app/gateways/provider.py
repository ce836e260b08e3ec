"""Payments, stock, couriers and travel at a provider that speaks HTTP with idempotency keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx

from app.gateways.gate import Gates, NoAnswer
from domain.errors import AmendsError, Refusal
from domain.money import Money
from domain.ordering import Line
from workflows.book_trip import Booking, Part, SoldOut
from workflows.place_order import CardDeclined, NoCourier, OutOfStock, Parcel, Receipt

NOBODY_IN = (502, 503, 504)
"""What a front door answers when nobody is behind it."""


class ProviderFailed(AmendsError):
    """{operation}: {problem}"""

    operation: str
    problem: str


class ProviderClient:
    """One provider. A refusal is raised as the Refusal that its code stands for, anything else as ProviderFailed."""

    def __init__(self, client: httpx.AsyncClient, gates: Gates) -> None:
        self._client, self._gates = client, gates

    async def post(self, path: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
        """Call with an idempotency key; returns the answer's body. The time it may take is the step's.

        Raises ProviderDown, and calls nobody, while calls to this part of the provider are not answered.
        """
        try:
            async with self._gates.to(path.split("/")[1]).call(key):
                response = await self._client.post(path, json=body, headers={"Idempotency-Key": key})
                if response.status_code in NOBODY_IN:
                    raise NoAnswer(f"{response.status_code} {response.reason_phrase}")
            answer: dict[str, Any] = response.json()
        except (httpx.HTTPError, NoAnswer, ValueError) as error:
            raise ProviderFailed(path, str(error) or type(error).__name__) from error
        if response.status_code in (200, 201):
            return answer
        if response.status_code == 409 and (refusal := _refusal(answer, body)):
            raise refusal
        raise ProviderFailed(path, f"{response.status_code} {answer.get('error', '')}: {answer.get('message', '')}")


def _refusal(answer: dict[str, Any], body: dict[str, Any]) -> Refusal | None:
    match answer.get("error"):
        case "card_declined":
            return CardDeclined(str(answer.get("reason", "no reason given")))
        case "out_of_stock":
            return OutOfStock(str(answer.get("sku", "")))
        case "no_courier":
            return NoCourier(str(body.get("postcode", "")))
        case "sold_out":
            return SoldOut(str(body.get("part", "")), str(body.get("wanted", "")))
        case _:
            return None


class HttpPayments:
    def __init__(self, provider: ProviderClient) -> None:
        self._provider = provider

    async def charge(self, token: str, amount: Money, *, reference: str, key: str) -> Receipt:
        body = {"token": token, "amount": amount.amount, "currency": amount.currency, "reference": reference}
        answer = await self._provider.post("/payments/charge", key, body)
        return Receipt(str(answer["id"]), amount)

    async def refund(self, *, of: str, reference: str, key: str) -> None:
        await self._provider.post("/payments/refund", key, {"of": of, "reference": reference})


class HttpStock:
    def __init__(self, provider: ProviderClient) -> None:
        self._provider = provider

    async def hold(self, lines: Sequence[Line], *, reference: str, key: str) -> None:
        held = [{"sku": line.sku, "quantity": line.quantity} for line in lines]
        await self._provider.post("/stock/hold", key, {"lines": held, "reference": reference})

    async def release(self, *, of: str, reference: str, key: str) -> None:
        await self._provider.post("/stock/release", key, {"of": of, "reference": reference})


class HttpCouriers:
    def __init__(self, provider: ProviderClient) -> None:
        self._provider = provider

    async def book(self, postcode: str, *, reference: str, key: str) -> Parcel:
        answer = await self._provider.post("/couriers/book", key, {"postcode": postcode, "reference": reference})
        return Parcel(str(answer["id"]))


class HttpTravel:
    def __init__(self, provider: ProviderClient) -> None:
        self._provider = provider

    async def book(self, part: Part, wanted: str, traveller: str, *, reference: str, key: str) -> Booking:
        body = {"part": part, "wanted": wanted, "traveller": traveller, "reference": reference}
        answer = await self._provider.post("/travel/book", key, body)
        return Booking(str(answer["id"]))

    async def cancel(self, *, of: str, reference: str, key: str) -> None:
        await self._provider.post("/travel/cancel", key, {"of": of, "reference": reference})
