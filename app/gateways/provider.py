"""Payments, stock, couriers and travel at a provider that speaks HTTP with idempotency keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import httpx

from app.amends.providers.http import CONNECT_SECONDS, HttpProvider
from app.amends.security.loopback import is_loopback, is_unspecified
from domain.amends.errors import AmendsError, Refusal
from domain.money import Money
from domain.ordering import Line
from workflows.amends.providers import NoAnswer, Providers
from workflows.book_trip import Booking, Part, SoldOut
from workflows.place_order import CardDeclined, NoCourier, OutOfStock, Parcel, Receipt

PROVIDER_SECONDS: Final = 60.0
KEPT_SECONDS: Final = 2.0
"""How long a connection to the provider is kept for the next call: shorter than servers keep theirs, which is 5 s or
more, or a call would be sent just as its connection is closed, and its outcome unknown."""


class ProviderFailed(AmendsError):
    """{operation}: {problem}"""

    operation: str
    problem: str


def provider_client(other: str | None, here: str, token: str) -> httpx.AsyncClient:
    """What the provider is called with: another one, or the sandbox of the server `here` by a token of its own.

    A proxy from the environment is for other machines: whatever is served on this one is called without.
    """
    url = httpx.URL(other or f"{here}/sandbox")
    return httpx.AsyncClient(
        base_url=url,
        trust_env=not (is_loopback(url.host) or is_unspecified(url.host)),
        timeout=httpx.Timeout(PROVIDER_SECONDS, connect=CONNECT_SECONDS),
        headers={} if other else {"Authorization": f"Bearer {token}"},
        limits=httpx.Limits(max_connections=None, keepalive_expiry=KEPT_SECONDS),
    )


class Connections:
    """The way to the parts of the provider: each part is a provider of its own, with its own name and breaker."""

    def __init__(self, client: httpx.AsyncClient, providers: Providers) -> None:
        self._client, self._providers = client, providers

    def to(self, name: str) -> Operations:
        """The part with this name."""
        return Operations(HttpProvider(self._providers.to(name), self._client))


class Operations:
    """One part. A refusal is raised as the Refusal that its code stands for, anything else as ProviderFailed."""

    def __init__(self, provider: HttpProvider) -> None:
        self._http = provider

    async def post(self, operation: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
        """Call with an idempotency key; returns the answer's body. The time it may take is the step's.

        Raises ProviderDown if nobody was called, because this part of the provider is down.
        """
        path = f"/{self._http.provider.name}/{operation}"
        try:
            response = await self._http.request("POST", path, json=body, headers={"Idempotency-Key": key})
            answer: dict[str, Any] = response.json()
        except (NoAnswer, ValueError) as error:
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
    def __init__(self, connections: Connections) -> None:
        self._payments = connections.to("payments")

    async def charge(self, token: str, amount: Money, *, reference: str, key: str) -> Receipt:
        body = {"token": token, "amount": amount.amount, "currency": amount.currency, "reference": reference}
        answer = await self._payments.post("charge", key, body)
        return Receipt(str(answer["id"]), amount)

    async def refund(self, *, of: str, reference: str, key: str) -> None:
        await self._payments.post("refund", key, {"of": of, "reference": reference})


class HttpStock:
    def __init__(self, connections: Connections) -> None:
        self._stock = connections.to("stock")

    async def hold(self, lines: Sequence[Line], *, reference: str, key: str) -> None:
        held = [{"sku": line.sku, "quantity": line.quantity} for line in lines]
        await self._stock.post("hold", key, {"lines": held, "reference": reference})

    async def release(self, *, of: str, reference: str, key: str) -> None:
        await self._stock.post("release", key, {"of": of, "reference": reference})


class HttpCouriers:
    def __init__(self, connections: Connections) -> None:
        self._couriers = connections.to("couriers")

    async def book(self, postcode: str, *, reference: str, key: str) -> Parcel:
        answer = await self._couriers.post("book", key, {"postcode": postcode, "reference": reference})
        return Parcel(str(answer["id"]))


class HttpTravel:
    def __init__(self, connections: Connections) -> None:
        self._travel = connections.to("travel")

    async def book(self, part: Part, wanted: str, traveller: str, *, reference: str, key: str) -> Booking:
        body = {"part": part, "wanted": wanted, "traveller": traveller, "reference": reference}
        answer = await self._travel.post("book", key, body)
        return Booking(str(answer["id"]))

    async def cancel(self, *, of: str, reference: str, key: str) -> None:
        await self._travel.post("cancel", key, {"of": of, "reference": reference})
