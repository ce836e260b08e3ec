"""The ports of place-order in memory: a provider that remembers keys, as real ones do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from domain.money import Money
from domain.ordering import Line, OrderRequest
from workflows.place_order import CardDeclined, NoCourier, OutOfStock, Parcel, PlaceOrder, Receipt


@dataclass
class FakeProvider:
    """Stock, payments and couriers in one: effects by key, and failures to come by operation."""

    effects: dict[str, str] = field(default_factory=dict)
    undone: set[str] = field(default_factory=set)
    failures: dict[str, int] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    async def hold(self, lines: Sequence[Line], *, reference: str, key: str) -> None:
        self._call("hold")
        if lines[0].sku == "OUT-OF-STOCK":
            raise OutOfStock(lines[0].sku)
        self._do("hold", key)

    async def release(self, *, of: str, reference: str, key: str) -> None:
        self._call("release")
        self._undo(of)

    async def charge(self, token: str, amount: Money, *, reference: str, key: str) -> Receipt:
        self._call("charge")
        if token == "tok_declined":
            raise CardDeclined("declined by the issuer")
        return Receipt(self._do("charge", key), amount)

    async def refund(self, *, of: str, reference: str, key: str) -> None:
        self._call("refund")
        self._undo(of)

    async def book(self, postcode: str, *, reference: str, key: str) -> Parcel:
        self._call("book")
        if postcode == "00000":
            raise NoCourier(postcode)
        return Parcel(self._do("book", key))

    @property
    def net(self) -> list[str]:
        """What was done and not undone, by operation."""
        return sorted(done for key, done in self.effects.items() if key not in self.undone)

    def _call(self, operation: str) -> None:
        self.calls.append(operation)
        if self.failures.get(operation, 0) > 0:
            self.failures[operation] -= 1
            raise ConnectionError(f"{operation} is down")

    def _do(self, operation: str, key: str) -> str:
        if key in self.undone:
            raise ConnectionError("undone before it arrived")
        return self.effects.setdefault(key, operation)

    def _undo(self, of: str) -> None:
        self.undone.add(of)


def place_order(provider: FakeProvider) -> PlaceOrder:
    return PlaceOrder(provider, provider, provider)


def request(token: str = "tok_ok", sku: str = "apple", postcode: str = "12345") -> OrderRequest:
    return OrderRequest("4711", "c-1", "EUR", (Line(sku, 2, 350),), token, postcode)
