"""How other systems are called: how often, how long, under which key, and what is known of the outcome."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from domain.amends.errors import AmendsError, DefinitionError
from workflows.amends.brakes.brake import Brake
from workflows.amends.values.printable import one_line

R = TypeVar("R")


def seconds(count: float) -> timedelta:
    """So many seconds, as every duration of a saga is given."""
    return timedelta(seconds=count)


def hours(count: float) -> timedelta:
    """So many hours, as every duration of a saga is given."""
    return timedelta(hours=count)


def require_duration(what: str, given: object, zero: bool = False) -> None:
    """Raise DefinitionError for what is no timedelta, and for one that is negative, or zero unless that is allowed."""
    if not isinstance(given, timedelta):
        raise DefinitionError(what, f"is a timedelta, such as seconds(5), not {given!r}")
    if given < timedelta(0) or not (given or zero):
        wanted = "not less than 0" if zero else "more than 0"
        raise DefinitionError(what, f"is {wanted} seconds, not {given.total_seconds():g}")


@dataclass(frozen=True)
class Retry:
    """How often an attempt that failed is made again, and how long to wait before it.

    The wait after attempt n is `first_wait * backoff ** (n - 1)`, at most `longest_wait`, give or take a tenth.
    A Refusal is an answer, not a failure: it is never retried. `attempts` counts the first one too. Raises
    DefinitionError for less than one attempt, a backoff below 1, and negative waits.
    """

    attempts: int = 3
    first_wait: timedelta = seconds(0.5)
    backoff: float = 2.0
    longest_wait: timedelta = seconds(30)

    def __post_init__(self) -> None:
        given: dict[str, Any] = vars(self)
        for name, least in (("attempts", 1), ("backoff", 1)):
            if not isinstance(given[name], int | float) or given[name] < least:
                raise DefinitionError(f"Retry({name}={given[name]!r})", f"is a number, {least} at least")
        for name in ("first_wait", "longest_wait"):
            require_duration(f"Retry({name}=…)", given[name], zero=True)

    def wait_after(self, attempt: int) -> timedelta:
        """How long to wait after this attempt, counted from 1, has failed."""
        grown = self.first_wait.total_seconds() * self.backoff ** min(attempt - 1, 100)
        return seconds(min(grown, self.longest_wait.total_seconds()) * random.uniform(0.9, 1.1))


COMPENSATION_RETRY: Final = Retry(attempts=5)
ATTEMPT_TIMEOUT: Final = seconds(30)


@dataclass(frozen=True)
class Call:
    """One attempt of a step in the outside world.

    `key` is the same for every attempt, also after a crash: hand it to the other system as idempotency key. `attempt`
    counts from 1. How
    often it is read is counted, for gateways that raise ProviderDown and go through no Provider (see SentCalls).
    """

    key: str
    attempt: int = 1

    if not TYPE_CHECKING:  # for whom an object with this would have every attribute

        def __getattribute__(self, name: str) -> Any:
            if name == "key" and (mine := attempt_context.get()) is not None:
                mine.outbound.keys += 1
            return super().__getattribute__(name)


class ProviderDown(AmendsError):
    """{provider} is down: {problem}

    A gateway raises it for a call of which no byte was sent: refused, no route, no such host, no connection in time.
    That is no attempt. The saga waits until the provider is back, unless it is cancelled or its deadline is over.
    """

    provider: str
    problem: str


class Braked(ProviderDown):
    """calls to {provider} are held: {problem}

    It is raised for a call that a brake holds; nothing of it was sent.
    """


LONGEST_NAME: Final = 100
LONGEST_PROBLEM: Final = 500


def storable_provider_name(name: object) -> str:
    """A provider's name as it is kept: on one line, and not too long; "unnamed" for what is no name."""
    return (one_line(name)[:LONGEST_NAME].strip() if isinstance(name, str) else "") or "unnamed"


def storable_provider_down(error: BaseException) -> ProviderDown | None:
    """What a ProviderDown says, in words that can be kept, whatever its class makes of it; None for other errors."""
    if not issubclass(type(error), ProviderDown):
        return None
    try:
        provider, problem = vars(error).get("provider"), vars(error).get("problem")
    except BaseException as unreadable:
        provider, problem = None, f"its error cannot be read: {type(unreadable).__name__}"
    told = one_line(problem)[:LONGEST_PROBLEM] if isinstance(problem, str) else ""
    return ProviderDown(storable_provider_name(provider), told or "its gateway says so")


def _as_it_is(text: str) -> str:
    return text


@dataclass
class SentCalls:
    """What one attempt has sent to other systems.

    `sent` says that a byte of a call through a Provider may have left, `under_way` how many such calls are made right
    now, `queueing` how many of them wait for a place, `down` which provider the last one found down, if it did, and
    `brake` which brake held it. `elsewhere` says that the attempt has waited for something that was no such call:
    nobody knows what. `keys` is how often its key was read, `calls` how many calls it made. `waited` says that its saga
    has waited for a provider. `shown` masks what must not be shown in what is said of its calls.
    """

    shown: Callable[[str], str] = _as_it_is
    waited: bool = False
    sent: bool = False
    elsewhere: bool = False
    down: ProviderDown | None = None
    brake: Brake | None = None
    keys: int = 0
    calls: int = 0
    under_way: int = 0
    queueing: int = 0

    def note_wait(self) -> None:
        """The attempt waits for something now."""
        if not self.under_way:
            self.elsewhere, self.down, self.brake = True, None, None

    def may_have_sent(self, error: BaseException) -> bool:
        """Whether anybody may have been called in an attempt that ended with this: what is not known counts."""
        bare = issubclass(type(error), ProviderDown) and error is not self.down
        return self.sent or self.elsewhere or (bare and self.keys > self.calls + 1)


class AttemptTimer:
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
            self._timer = self._loop.call_at(self._until, self.expire, context=Context())

    def pause(self) -> None:
        """No time passes until `resume`."""
        if self._left is None:
            self._left = self._until - self._loop.time()
            self.stop()

    def resume(self) -> None:
        """Time passes again."""
        if self._left is not None:
            self._until, self._left = self._loop.time() + self._left, None
            self.start()

    def expire(self) -> None:
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
class AttemptContext:
    """The time that one attempt has, and the right to make it: both stand still while all its calls wait in queues.

    `may_call` is awaited with the provider's name right before a call of it begins, and with None before further bytes
    of one that has begun; it raises Braked, which a begun call is not held by, or Fenced.
    """

    clock: AttemptTimer
    may_call: Callable[[str | None], Awaitable[None]]
    outbound: SentCalls

    @contextmanager
    def calling(self) -> Iterator[None]:
        """A call is made in here."""
        self.outbound.under_way += 1
        self._look()
        try:
            yield
        finally:
            self.outbound.under_way -= 1
            self._look()

    @contextmanager
    def queueing(self) -> Iterator[None]:
        """Such a call waits in here for a place: at no cost of time, unless another one of the attempt has its own."""
        self.outbound.queueing += 1
        self._look()
        try:
            yield
        finally:
            self.outbound.queueing -= 1
            self._look()

    def _look(self) -> None:
        if self.outbound.queueing and self.outbound.queueing == self.outbound.under_way:
            self.clock.pause()
        else:
            self.clock.resume()


attempt_context: ContextVar[AttemptContext | None] = ContextVar("turn", default=None)
"""The attempt that runs here; a gateway that queues calls waits with it."""


@dataclass(frozen=True)
class Done(Generic[R]):
    """The step was answered, with this."""

    value: R


@dataclass(frozen=True)
class OutcomeUnknown:
    """Nobody knows whether the step took effect: it failed, was out of time, or a crash took its answer.

    A compensation undoes it by the key of the call, and must do nothing where nothing was done.
    """


@dataclass(frozen=True)
class Undo(Generic[R]):
    """One attempt of a compensation: `of` is the key of the call that it undoes, `key` its own.

    `outcome` is Done with what the step returned, or OutcomeUnknown; `attempt` counts from 1. `reason` says why the
    saga is compensated, in the words of its history: the message of a refusal, or what whoever cancelled it wrote.
    """

    of: str
    key: str
    outcome: Done[R] | OutcomeUnknown
    attempt: int = 1
    reason: str = ""
