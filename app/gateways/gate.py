"""A provider that is down is asked by one caller at a time; when it is back, not everybody comes at once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx

from workflows.calls import ProviderDown, turn

log = logging.getLogger("amends.gateways")

FAILURES = 5
"""So many calls in a row without any answer, and the provider is taken to be down."""
PROBE_SECONDS = 1.0
"""How often one caller may try whether it is back."""
FORGET_SECONDS = 12.0
"""Longer than any saga waits before it asks again: who has not asked since then waits no more."""


class NoAnswer(Exception):
    """The provider did not answer, or its front door said that nobody is in."""


@dataclass(frozen=True)
class Outage:
    """A provider that is down: since when, what it said last, and how many calls of this process wait for it."""

    provider: str
    since: datetime
    error: str
    waiting: int


class Gate:
    """The way to one provider, for all sagas of this process: at most so many calls at a time."""

    def __init__(self, provider: str, calls: int) -> None:
        self.provider = provider
        self._places = asyncio.Semaphore(calls)
        self._failures = 0
        self._down_since: datetime | None = None
        self._error = ""
        self._probe_at = 0.0
        self._turned_away: dict[str, float] = {}

    @property
    def outage(self) -> Outage | None:
        """What is wrong, None if nothing is."""
        if self._down_since is None:
            return None
        recent = time.monotonic() - FORGET_SECONDS
        self._turned_away = {key: at for key, at in self._turned_away.items() if at > recent}
        return Outage(self.provider, self._down_since, self._error, len(self._turned_away))

    @asynccontextmanager
    async def call(self, key: str) -> AsyncIterator[None]:
        """Call inside; raise NoAnswer there if nobody answered. Raises ProviderDown instead while it is down."""
        probing = self._may_pass(key)
        async with self._place():
            if not probing:
                self._may_pass(key)
            try:
                yield
            except (NoAnswer, httpx.TransportError, asyncio.CancelledError) as error:
                self._failed(str(error) or "no answer in time")
                raise
            except BaseException:
                self._answered()
                raise
            self._answered()

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """Wait for a place; that takes nothing from the time of the attempt."""
        mine = turn.get()
        with mine.queueing() if mine else nullcontext():
            await self._places.acquire()
        try:
            if mine:
                await mine.may_call()
            yield
        finally:
            self._places.release()

    def _may_pass(self, key: str) -> bool:
        """Raise ProviderDown while it is down; True for the one who may try whether it is back."""
        if self._down_since is None:
            return False
        now = time.monotonic()
        if now >= self._probe_at:
            self._probe_at = now + PROBE_SECONDS
            return True
        self._turned_away[key] = now
        raise ProviderDown(self.provider, self._down_since.isoformat(timespec="seconds"))

    def _failed(self, error: str) -> None:
        self._failures, self._error = self._failures + 1, error
        if self._failures >= FAILURES and self._down_since is None:
            self._down_since = datetime.now(UTC)
            self._probe_at = time.monotonic() + PROBE_SECONDS
            log.warning("The provider of %s is down (%s): sagas wait for it.", self.provider, error)

    def _answered(self) -> None:
        self._failures = 0
        if self._down_since is not None:
            took = (datetime.now(UTC) - self._down_since).total_seconds()
            log.warning("The provider of %s is back after %.0f s.", self.provider, took)
            self._down_since, self._turned_away = None, {}


class Gates:
    """One gate for each provider."""

    def __init__(self, calls: int) -> None:
        self._calls = calls
        self._gates: dict[str, Gate] = {}

    def to(self, provider: str) -> Gate:
        """The gate to a provider."""
        if provider not in self._gates:
            self._gates[provider] = Gate(provider, self._calls)
        return self._gates[provider]

    @property
    def outages(self) -> list[Outage]:
        """Every provider that is down, as far as this process knows."""
        return [outage for gate in self._gates.values() if (outage := gate.outage)]
