"""Clients that transfer money, pay in and order, each until it is answered; and those who look how long that takes."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import httpx
import psycopg

from tests.example.crash.load import ORDERED
from tests.example.server import Server, http, order

ACCOUNTS = [f"acc-{number}" for number in range(4)]
OPENING, PAYMENT = 100_000, 7
PATIENCE = 6.0
"""Seconds for which a client waits for an answer before it asks again with the same key."""
BETWEEN = 0.8
"""Seconds between two sagas of one client."""
GIVING_UP = 240.0


@dataclass(frozen=True)
class Placed:
    """What a client asked for, until it had an answer that says that it is kept."""

    path: str
    body: dict[str, Any]
    status: str
    """How the saga must end."""
    effects: dict[str, int]
    asked: float
    answered: float


@dataclass
class Load:
    """What was acknowledged, by id, and when."""

    servers: list[Server]
    dice: random.Random
    placed: dict[str, Placed] = field(default_factory=dict)
    deposited: dict[str, str] = field(default_factory=dict)
    """The accounts that a payment was paid into, by the idempotency key."""
    writes: list[tuple[float, float]] = field(default_factory=list)
    """When a request that was answered well was sent, and when it was answered."""
    odd: list[str] = field(default_factory=list)
    """Answers that no client should get."""
    _over: threading.Event = field(default_factory=threading.Event)

    def open_accounts(self) -> None:
        for account in ACCOUNTS:
            opening = {"account_id": account, "owner": "Ann", "currency": "EUR", "opening_balance": OPENING}
            assert self.servers[0].post("/accounts", opening).status_code == 201

    @contextmanager
    def running(self, clients: int) -> Iterator[None]:
        threads = [threading.Thread(target=self._client, args=(number,)) for number in range(clients)]
        threads.append(threading.Thread(target=self._payer))
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def again(self, sagas: list[str], payments: list[str]) -> None:
        """What clients do that find what they asked for gone."""
        for id in sagas:
            self._post(self.placed[id].path, self.placed[id].body, id, 202)
        for key in payments:
            self._post(f"/accounts/{self.deposited[key]}/deposit", {"amount": PAYMENT}, key, 200)

    def _client(self, number: int) -> None:
        count = 0
        while not self._over.is_set():
            id = f"c{number}-{count}"
            path, body, status, effects = self._some(id)
            times = self._post(path, body, id, 202)
            if times:
                self.placed[id] = Placed(path, body, status, effects, *times)
            count += 1
            self._over.wait(BETWEEN)

    def _some(self, id: str) -> tuple[str, dict[str, Any], str, dict[str, int]]:
        which = self.dice.random()
        if which < 0.5:
            payer, paid = self.dice.sample(ACCOUNTS, 2)
            sides = {"from_account": payer, "to_account": paid}
            transfer = sides | {"transfer_id": id, "amount": self.dice.randint(1, 50), "currency": "EUR"}
            return "/workflows/transfer-money", transfer, "completed", {}
        if which < 0.85:
            return "/workflows/place-order", order(id), "completed", ORDERED
        return "/workflows/place-order", order(id, postcode="00000"), "compensated", {}

    def _payer(self) -> None:
        count = 0
        while not self._over.is_set():
            key = f"deposit-{count}"
            account = self.dice.choice(ACCOUNTS)
            if self._post(f"/accounts/{account}/deposit", {"amount": PAYMENT}, key, 200):
                self.deposited[key] = account
            count += 1
            self._over.wait(BETWEEN)

    def _post(self, path: str, body: Any, key: str, wanted: int) -> tuple[float, float] | None:
        """Ask until the answer is as wanted, at one server and then at another; None if that never comes."""
        until = time.monotonic() + GIVING_UP
        while time.monotonic() < until:
            asked = time.monotonic()
            with suppress(httpx.TransportError):
                base = self.dice.choice(self.servers).base
                answer = http.post(base + path, json=body, headers={"Idempotency-Key": key}, timeout=PATIENCE)
                if answer.status_code == wanted:
                    times = asked, time.monotonic()
                    self.writes.append(times)
                    return times
                if answer.status_code != 503:
                    self.odd.append(f"{key}: {answer.status_code} {answer.text[:300]}")
            time.sleep(0.1)
        self.odd.append(f"{key}: not answered within {GIVING_UP:g} s")
        return None


@dataclass
class Looks:
    """When something answered: reads of each server, and the database itself through the servers' URL."""

    times: list[tuple[float, float]] = field(default_factory=list)
    """When each that was answered was asked, and when it was answered."""

    def first_after(self, fault: float) -> float:
        """Seconds from the fault to the first answer to what was asked after it."""
        return min((done - fault for asked, done in self.times if asked >= fault), default=float("inf"))

    def longest_gap(self, fault: float) -> float:
        """The longest time without an answer, from just before the fault on."""
        ends = sorted(done for _, done in self.times)
        gaps = [later - earlier for earlier, later in pairwise(ends) if later >= fault]
        return max(gaps, default=float("inf"))


class Watcher(threading.Thread):
    """Asks all the time, ten times a second, until it is told to stop."""

    def __init__(self, ask: Any) -> None:
        super().__init__(daemon=True)
        self.looks, self._ask, self._over = Looks(), ask, threading.Event()
        self.start()

    def run(self) -> None:
        while not self._over.wait(0.1):
            asked = time.monotonic()
            with suppress(httpx.TransportError, psycopg.Error):
                if self._ask():
                    self.looks.times.append((asked, time.monotonic()))

    def stop(self) -> None:
        self._over.set()
        self.join()


def reads(server: Server) -> bool:
    return http.get(f"{server.base}/accounts/{ACCOUNTS[0]}", timeout=2).status_code == 200


def can_be_written(url: str) -> bool:
    with psycopg.connect(url, connect_timeout=2, options="-c statement_timeout=2s") as sql:
        return sql.execute("select pg_is_in_recovery()").fetchone() == (False,)
