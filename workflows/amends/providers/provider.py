"""The other systems that sagas call, each known by one name, and the calls that are made to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from typing import Final

from domain.amends.errors import AmendsError, DefinitionError
from workflows.amends.call import (
    LONGEST_NAME,
    AttemptContext,
    ProviderDown,
    SentCalls,
    attempt_context,
    storable_provider_name,
)
from workflows.amends.clocks import Clocks
from workflows.amends.providers.circuit_breaker import FAILURES, CircuitBreaker, Outage, Probe
from workflows.amends.values.printable import error_message

CALLS: Final = 32
"""So many calls to one provider at a time, in one process."""


class NoAnswer(AmendsError):
    """{problem}

    A gateway raises it inside `Provider.call` when the provider did not answer, or only its front door did.
    """

    problem: str


class ProviderCall:
    """One call to a provider. A gateway that can tell awaits `starts` right before the first byte leaves.

    One that sends in several parts awaits it before each of them.
    """

    def __init__(self, provider: str, outbound: SentCalls, mine: AttemptContext | None, began: float) -> None:
        self._provider, self._outbound, self._mine, self.sent, self.began = provider, outbound, mine, False, began

    async def starts(self) -> None:
        """The next bytes leave now, if this process still may: it can have been paused while it connected or sent."""
        if self._mine:
            await self._mine.may_call(None if self.sent else self._provider)
        self.started()

    def started(self) -> None:
        """The first byte of the call leaves: from here on the provider may have acted."""
        self.sent = self._outbound.sent = True


class Provider:
    """One other system, for all sagas of this process.

    `calls` is how many calls it takes at a time, `failures` how many of them in a row must fail for it to be down.
    """

    def __init__(self, name: str, calls: int = CALLS, failures: int = FAILURES, clocks: Clocks = Clocks()) -> None:
        if storable_provider_name(name) != name:
            problem = f"is 1 to {LONGEST_NAME} printable characters, without spaces around or side by side"
            raise DefinitionError("the name of a provider", problem)
        if calls < 1 or failures < 1:
            raise DefinitionError(f"provider {name}", "takes at least one call at a time, and one failure to be down")
        self.name, self.calls, self.breaker = name, calls, CircuitBreaker(name, failures, clocks)
        self.changed: Callable[[], None] = _nobody
        self.has_gateway = True
        """Whether calls to it are made through this object; else only what sagas come to tells of it."""
        self._places = asyncio.Semaphore(calls)
        self._under_way = 0
        self.breaker.closed = lambda: self.changed()

    @property
    def outage(self) -> Outage | None:
        """What is wrong, None if nothing is."""
        return self.breaker.outage

    @property
    def free_places(self) -> int:
        """How many sagas that wait for it may go on now."""
        if self.breaker.outage:
            return int(self.breaker.may_probe)
        return max(self.calls - self._under_way, 0)

    @asynccontextmanager
    async def call(self, tells: bool = False) -> AsyncIterator[ProviderCall]:
        """Make one call inside, and raise NoAnswer there if there is no answer. Raises ProviderDown instead of that if
        nothing was sent, or while the provider is down.

        With `tells`, the gateway says by `Sending.starts` when the first byte leaves; else it counts as sent at once,
        unless the gateway itself raises ProviderDown.
        """
        mine = attempt_context.get()
        outbound = mine.outbound if mine else SentCalls()
        outbound.calls += 1
        self._under_way += 1
        probe = None
        try:
            with mine.calling() if mine else nullcontext():
                probe = self._enter(outbound)
                async with self._place(mine):
                    probe = probe or self._enter(outbound)
                    async with self._watched(
                        ProviderCall(self.name, outbound, mine, self.breaker.clocks.seconds()), outbound, tells, probe
                    ) as sending:
                        yield sending
        finally:
            self._under_way -= 1
            if probe:
                self.breaker.call_ended(probe)
            self.changed()

    @asynccontextmanager
    async def _watched(
        self, sending: ProviderCall, outbound: SentCalls, tells: bool, probe: Probe | None
    ) -> AsyncIterator[ProviderCall]:
        """Take note of how a call ends."""
        try:
            async with asyncio.timeout(probe.seconds if probe else None):
                yield sending
        except (NoAnswer, ProviderDown, TimeoutError, asyncio.CancelledError) as error:
            if outbound.brake:  # it was held from this side: that says nothing of the provider
                raise
            if not tells and not issubclass(type(error), ProviderDown):
                sending.started()
            ours = issubclass(type(error), AmendsError)
            told = outbound.shown(error_message(error)) if ours else "no answer in time"
            self.breaker.note_failure(told, outbound.waited)
            outbound.down = self.breaker.provider_down_error() if probe or self.outage or not sending.sent else None
            if outbound.down is None or isinstance(error, asyncio.CancelledError):
                raise
            raise outbound.down from error
        except BaseException:
            if outbound.brake:
                raise
            outbound.down = None
            if not tells or sending.sent:
                self._answered(sending)
            raise
        outbound.down = None
        self._answered(sending)

    def _answered(self, sending: ProviderCall) -> None:
        sending.started()
        self.breaker.note_answer(self.breaker.clocks.seconds() - sending.began)

    @asynccontextmanager
    async def _place(self, mine: AttemptContext | None) -> AsyncIterator[None]:
        """Wait for a place; that takes nothing from the time of the attempt."""
        with mine.queueing() if mine else nullcontext():
            await self._places.acquire()
        try:
            if mine:
                await mine.may_call(self.name)
            yield
        finally:
            self._places.release()

    def _enter(self, outbound: SentCalls) -> Probe | None:
        try:
            return self.breaker.admit_call()
        except ProviderDown as down:
            outbound.down = down
            raise

    def note_down(self, error: str) -> None:
        """A saga waits for it: news only where its gateway calls without telling this object."""
        if not self.has_gateway:
            self.breaker.note_failure(error)
            self.breaker.note_probe()

    def note_up(self) -> None:
        """A saga that waited for it has made an attempt, which is news as little."""
        if not self.has_gateway:
            self.breaker.note_answer()


class Providers:
    """The providers of one process, by name."""

    def __init__(self, calls: int = CALLS, clocks: Clocks = Clocks()) -> None:
        self._calls, self._clocks = calls, clocks
        self._known: dict[str, Provider] = {}
        self.changed: Callable[[], None] = _nobody
        """Called whenever a call ends or a provider is back."""

    def to(self, name: str, calls: int | None = None, failures: int = FAILURES) -> Provider:
        """The provider of this name, for a gateway to call; the first one says what it takes."""
        found = self._known.get(name)
        if found is None or not found.has_gateway:
            made = Provider(name, self._calls if calls is None else calls, failures, self._clocks)
            made.changed = lambda: self.changed()
            if found is not None and (outage := found.outage):
                made.breaker.note_report(outage)  # sagas, or other processes, knew of it before its gateway was made
            self._known[name] = made
            return made
        return found

    def named(self, name: str) -> Provider:
        """The provider that a saga waits for, whether it has a gateway here or not."""
        if name not in self._known:
            self.to(name).has_gateway = False
        return self._known[name]

    @contextmanager
    def cut_off(self) -> Iterator[None]:
        """Meanwhile calls are cut off from this side: no provider is to blame for how they end."""
        breakers = [each.breaker for each in self._known.values()]
        for breaker in breakers:
            breaker.deaf = True
        try:
            yield
        finally:
            for breaker in breakers:
                breaker.deaf = False

    @property
    def outages(self) -> list[Outage]:
        """Every provider that is down, as far as this process knows."""
        return [outage for provider in self._known.values() if (outage := provider.outage)]

    def forget(self, awaited: Collection[str]) -> None:
        """What nobody waits for, and nobody has called for a while, is not said to be down any more."""
        for name, provider in list(self._known.items()):
            if name not in awaited:
                provider.breaker.forget()
                if not provider.has_gateway and not provider.outage:
                    del self._known[name]


def _nobody() -> None:
    """Nobody wants to know."""
