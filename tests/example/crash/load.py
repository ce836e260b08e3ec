"""Clients that start sagas of every sort all the time, and what must be true of each of them afterwards."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.example.server import Server, http, order

PAYER, PAID = "payer", "paid"
FUNDS, PRICE = 1_000_000, 5
TRIP = {"traveller": "Ann", "flight": "LH1", "hotel": "Ritz", "car": "Mini"}
SOLD_OUT = TRIP | {"hotel": "SOLD-OUT"}
ORDERED, BOOKED = {"hold": 1, "charge": 1, "book": 1}, {"book": 3}


@dataclass(frozen=True)
class Kind:
    """A saga, how it must end, and what must have come of it: net effects by what comes after the saga's id."""

    workflow: str
    changes: Mapping[str, Any]
    status: str
    effects: Mapping[str, dict[str, int]]

    @property
    def paid(self) -> int:
        return PRICE if self.workflow == "book-group-trip" and self.status == "completed" else 0

    def body(self, id: str) -> dict[str, Any]:
        if self.workflow == "place-order":
            return order(id, **self.changes)
        if self.workflow == "book-trip":
            return {"trip_id": id} | TRIP | dict(self.changes)
        payment = {"from_account": PAYER, "to_account": PAID, "price": PRICE, "currency": "EUR"}
        return {"group_id": id} | payment | dict(self.changes)


def ordering(status: str, **changes: str) -> Kind:
    return Kind("place-order", changes, status, {"": ORDERED if status == "completed" else {}})


def travelling(status: str, **changes: str) -> Kind:
    return Kind("book-trip", changes, status, {"": BOOKED if status == "completed" else {}})


def together(status: str, *members: dict[str, str]) -> Kind:
    each = BOOKED if status == "completed" else {}
    return Kind("book-group-trip", {"members": members}, status, {"-1": each, "-2": each})


KINDS = [
    ordering("completed"),
    ordering("completed", token="tok_flaky"),
    ordering("completed", token="tok_timeout_after_charge"),
    ordering("completed", sku="SLOW-boat"),
    ordering("compensated", token="tok_declined"),
    ordering("compensated", sku="OUT-OF-STOCK"),
    ordering("compensated", postcode="00000"),
    ordering("compensated", token="tok_late_charge"),
    ordering("compensated", sku="SLOW-boat", postcode="00000"),
    travelling("completed"),
    travelling("completed", flight="SLOW-boat"),
    travelling("compensated", hotel="SOLD-OUT"),
    together("completed", TRIP, TRIP),
    together("compensated", TRIP, SOLD_OUT),
]


UNDER_WAY = 8
"""How many sagas of one client may be under way: more than that would test patience, not faults."""


@dataclass
class Load:
    """Clients that start sagas at whichever server answers, each until it is told 202."""

    servers: list[Server]
    dice: random.Random
    placed: dict[str, Kind] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)

    def run(self, clients: int) -> list[threading.Thread]:
        for account, balance in ((PAYER, FUNDS), (PAID, 0)):
            opening = {"account_id": account, "owner": "Ann", "currency": "EUR", "opening_balance": balance}
            assert self.servers[0].post("/accounts", opening).status_code == 201
        threads = [threading.Thread(target=self._client, args=(number,)) for number in range(clients)]
        for thread in threads:
            thread.start()
        return threads

    def stop(self) -> None:
        self._over.set()

    def _client(self, number: int) -> None:
        count = 0
        while not self._over.is_set():
            kind, id = self.dice.choice(KINDS), f"c{number}-{count}"
            self._place(id, kind)
            self.placed[id] = kind
            count += 1
            while count >= UNDER_WAY and not self._over.is_set() and not self._ended(f"c{number}-{count - UNDER_WAY}"):
                time.sleep(0.05)

    def _ended(self, id: str) -> bool:
        with suppress(httpx.TransportError, IndexError):
            server = self.dice.choice(self.servers)
            answer = http.get(f"http://127.0.0.1:{server.port}/workflows/{id}", params={"wait": 1}, timeout=5)
            return answer.status_code == 200 and answer.json()["status"] in ("completed", "compensated")
        return False

    def _place(self, id: str, kind: Kind) -> None:
        while True:
            server = self.dice.choice(self.servers)
            with suppress(httpx.TransportError, IndexError):
                answer = http.post(
                    f"http://127.0.0.1:{server.port}/workflows/{kind.workflow}",
                    json=kind.body(id),
                    headers={"Idempotency-Key": id},
                    timeout=5,
                )
                if answer.status_code == 202:
                    return
                assert answer.status_code == 503, answer.text
            time.sleep(0.05)
