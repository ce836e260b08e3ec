"""How other systems are called: how often, how long, under which key, and what is known of the outcome."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Generic, TypeVar

from domain.errors import AmendsError, Misdeclared

R = TypeVar("R")


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def hours(count: float) -> timedelta:
    return timedelta(hours=count)


@dataclass(frozen=True)
class Retry:
    """How often an attempt that failed is made again, and how long to wait before it.

    The wait after attempt n is `first_wait * backoff ** (n - 1)`, at most `longest_wait`, give or take a tenth.
    A Refusal is an answer, not a failure: it is never retried.
    """

    attempts: int = 3
    first_wait: timedelta = seconds(0.5)
    backoff: float = 2.0
    longest_wait: timedelta = seconds(30)

    def __post_init__(self) -> None:
        if self.attempts < 1 or self.backoff < 1 or self.first_wait < timedelta(0):
            raise Misdeclared(f"{self}", "attempts and backoff are at least 1, waits are not negative")

    def wait_after(self, attempt: int) -> timedelta:
        """How long to wait after this attempt, counted from 1, has failed."""
        grown = self.first_wait.total_seconds() * self.backoff ** min(attempt - 1, 100)
        return seconds(min(grown, self.longest_wait.total_seconds()) * random.uniform(0.9, 1.1))


COMPENSATION_RETRY: Final = Retry(attempts=5)
ATTEMPT_TIMEOUT: Final = seconds(30)


@dataclass(frozen=True)
class Call:
    """One attempt of a step in the outside world.

    `key` is the same for every attempt, also after a crash: hand it to the other system as idempotency key. Whoever
    reads it may have called somebody: that is how the engine knows of calls that go through no Provider.
    """

    key: str
    attempt: int = 1

    def __getattribute__(self, name: str) -> Any:
        if name == "key" and (mine := turn.get()) is not None:
            mine.outbound.keys += 1
        return super().__getattribute__(name)


class ProviderDown(AmendsError):
    """{provider} is down: {problem}

    A gateway raises it for a call of which no byte was sent: refused, no route, no such host, no connection in time.
    That is no attempt. The saga waits until the provider is back, unless it is cancelled or its deadline is over.
    """

    provider: str
    problem: str


@dataclass
class Outbound:
    """What one attempt has sent to other systems.

    `keys` is how often its key was read, `calls` how many calls it made through a Provider, `sent` whether a byte of
    one of these may have left, and `down` which provider its last call found down, if it did.
    """

    keys: int = 0
    calls: int = 0
    sent: bool = False
    down: ProviderDown | None = None

    def may_have_sent(self, error: BaseException) -> bool:
        """Whether anybody may have been called in an attempt that ended with this: what is not known counts."""
        unseen = self.keys - self.calls - (isinstance(error, ProviderDown) and error is not self.down)
        return self.sent or unseen > 0


class Clock:
    """The time that one attempt has: `over` is called once when it has passed."""

    def __init__(self, seconds: float, over: Callable[[], None]) -> None:
        self._loop, self._over = asyncio.get_running_loop(), over
        self._until = self._loop.time() + seconds
        self._left: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.is_over = False

    def start(self) -> None:
        """From here on it is looked at."""
        if self._left is None and not self.is_over:
            self._timer = self._loop.call_at(self._until, self.end, context=Context())

    def stand_still(self) -> None:
        """No time passes until `go_on`."""
        self._left = self._until - self._loop.time()
        self.stop()

    def go_on(self) -> None:
        """Time passes again."""
        if self._left is not None:
            self._until, self._left = self._loop.time() + self._left, None
            self.start()

    def end(self) -> None:
        """The time is over now."""
        self.stop()
        if not self.is_over:
            self.is_over = True
            self._over()

    def stop(self) -> None:
        """It is not looked at any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


@dataclass
class Turn:
    """The time that one attempt has, and the right to make it: both stand still while the attempt waits in a queue."""

    clock: Clock
    may_call: Callable[[], Awaitable[None]]
    outbound: Outbound
    _queueing: int = 0

    @contextmanager
    def queueing(self) -> Iterator[None]:
        """Wait in here at no cost of time; several calls of one attempt may wait at the same time."""
        if self._queueing == 0:
            self.clock.stand_still()
        self._queueing += 1
        try:
            yield
        finally:
            self._queueing -= 1
            if self._queueing == 0:
                self.clock.go_on()


turn: ContextVar[Turn | None] = ContextVar("turn", default=None)
"""The attempt that runs here; a gateway that queues calls waits with it."""


@dataclass(frozen=True)
class Done(Generic[R]):
    """The step was answered, with this."""

    value: R


@dataclass(frozen=True)
class Unknown:
    """Nobody knows whether the step took effect: it failed, or a crash took its answer."""


@dataclass(frozen=True)
class Undo(Generic[R]):
    """One attempt of a compensation: `of` is the key of the call that it undoes, `key` its own."""

    of: str
    key: str
    outcome: Done[R] | Unknown
    attempt: int = 1
