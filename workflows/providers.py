"""The other systems that sagas call, each known by one name: how many calls it takes at a time, whether it is down.

A circuit breaker after Michael Nygard's "Release It!": it opens after a number of calls in a row without an answer,
lets one call a second try while it is open, and closes at the first answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Final

from domain.errors import AmendsError
from workflows.calls import Outbound, ProviderDown, Turn, turn
from workflows.said import one_line, said

log = logging.getLogger("amends.providers")

FAILURES: Final = 5
"""So many calls in a row without an answer, of whichever sagas, and a provider is taken to be down."""
CALLS: Final = 32
"""So many calls to one provider at a time, in one process."""
PROBE_SECONDS: Final = 1.0
"""How often one call tries whether a provider that is down is back."""
SILENT_SECONDS: Final = 1.5
"""While one such call waits for its whole time, as a slow provider needs, others wait so long, one after the other."""


class NoAnswer(AmendsError):
    """{problem}

    A gateway raises it inside `Provider.call` when the provider did not answer, or only its front door did.
    """

    problem: str


@dataclass(frozen=True)
class Outage:
    """A provider that is down, as one process sees it: since when, and what its last call came to."""

    provider: str
    since: datetime
    error: str


class Sending:
    """One call to a provider. A gateway that can tell says `started` when the first byte leaves."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound, self.sent = outbound, False

    def started(self) -> None:
        """The first byte of the call leaves: from here on the provider may have acted."""
        self.sent = self._outbound.sent = True


@dataclass(frozen=True, eq=False)
class _Probe:
    """A call that tries whether a provider is back."""

    began: float


class Provider:
    """One other system, for all sagas of this process.

    `calls` is how many calls it takes at a time, `failures` how many of them in a row must fail for it to be down.
    """

    def __init__(self, name: str, calls: int = CALLS, failures: int = FAILURES) -> None:
        self.name, self.calls, self.failures = name, calls, failures
        self.changed: Callable[[], None] = _nobody
        self._places = asyncio.Semaphore(calls)
        self._under_way = self._failed_in_a_row = self._made = 0
        self._down_since: datetime | None = None
        self._answered_at: datetime | None = None
        self._error, self._probe_at, self._probe = "", 0.0, None

    _probe: _Probe | None
    """The call that waits for its whole time to see whether it is back."""

    @property
    def outage(self) -> Outage | None:
        """What is wrong, None if nothing is."""
        return Outage(self.name, self._down_since, self._error) if self._down_since else None

    @property
    def room(self) -> int:
        """How many sagas that wait for it may go on now."""
        if self._down_since:
            return int(monotonic() >= self._probe_at)
        return max(self.calls - self._under_way, 0)

    @asynccontextmanager
    async def call(self, tells: bool = False) -> AsyncIterator[Sending]:
        """Make one call inside, and raise NoAnswer there if there is no answer. Raises ProviderDown instead of that if
        nothing was sent, or while the provider is down.

        With `tells`, the gateway says by `Sending.started` when the first byte leaves; else it counts as sent at once,
        unless the gateway itself raises ProviderDown.
        """
        mine = turn.get()
        outbound = mine.outbound if mine else Outbound()
        outbound.calls += 1
        self._made, self._under_way = self._made + 1, self._under_way + 1
        probe = None
        try:
            probe = self._enter(outbound)
            async with self._place(mine):
                probe = probe or self._enter(outbound)
                async with self._watched(outbound, tells, probe) as sending:
                    yield sending
        finally:
            self._under_way -= 1
            self._probed(probe)
            self.changed()

    @asynccontextmanager
    async def _watched(self, outbound: Outbound, tells: bool, probe: _Probe | None) -> AsyncIterator[Sending]:
        """Take note of how a call ends."""
        sending = Sending(outbound)
        try:
            async with asyncio.timeout(SILENT_SECONDS if probe and probe is not self._probe else None):
                yield sending
        except (NoAnswer, ProviderDown, TimeoutError, asyncio.CancelledError) as error:
            if not tells and not isinstance(error, ProviderDown):
                sending.started()
            self.failed(said(error) if isinstance(error, AmendsError) else "no answer in time")
            outbound.down = self._down(error) if probe or self._down_since or not sending.sent else None
            if outbound.down is None or isinstance(error, asyncio.CancelledError):
                raise
            raise outbound.down from error
        except BaseException:
            outbound.down = None
            if not tells or sending.sent:
                sending.started()
                self.answered()
            raise
        outbound.down = None
        sending.started()
        self.answered()

    @asynccontextmanager
    async def _place(self, mine: Turn | None) -> AsyncIterator[None]:
        """Wait for a place; that takes nothing from the time of the attempt."""
        with mine.queueing() if mine else nullcontext():
            await self._places.acquire()
        try:
            if mine:
                await mine.may_call()
            yield
        finally:
            self._places.release()

    def _enter(self, outbound: Outbound) -> _Probe | None:
        """Raise ProviderDown while it is down, but for the one call that may try whether it is back."""
        if self._down_since is None:
            return None
        now = monotonic()
        if now >= self._probe_at:
            self._probe_at = now + SILENT_SECONDS
            probe = _Probe(now)
            self._probe = self._probe or probe
            return probe
        outbound.down = self._down()
        raise outbound.down

    def _probed(self, probe: _Probe | None) -> None:
        """Such a call has ended: the next one may try a second after it began."""
        if probe is None:
            return
        if probe is self._probe:
            self._probe = None
        self._probe_at = max(probe.began + PROBE_SECONDS, min(self._probe_at, monotonic()))

    def _down(self, error: BaseException | None = None) -> ProviderDown:
        if isinstance(error, ProviderDown):
            return error
        since = f"since {self._down_since.isoformat(timespec='seconds')}, " if self._down_since else ""
        return ProviderDown(self.name, f"{since}{self._error}")

    def failed(self, error: str) -> None:
        """A call was not answered."""
        self._failed_in_a_row, self._error = self._failed_in_a_row + 1, one_line(error)
        if self._failed_in_a_row >= self.failures and self._down_since is None:
            self._open(datetime.now(UTC))
            log.warning("The provider %s is down (%s): sagas wait for it.", self.name, self._error)

    def answered(self) -> None:
        """A call was answered, whatever the answer says."""
        self._failed_in_a_row, self._answered_at = 0, datetime.now(UTC)
        if self._down_since is not None:
            took = (self._answered_at - self._down_since).total_seconds()
            log.warning("The provider %s is back after %.0f s.", self.name, took)
            self._down_since = None
            self.changed()

    def reported(self, outage: Outage) -> None:
        """Another process says that it is down: so it is here too, unless it has answered here since then."""
        if self._down_since is None and (self._answered_at is None or self._answered_at < outage.since):
            self._error = outage.error
            self._open(outage.since)
            log.warning("The provider %s is down (%s), as others found: sagas wait for it.", self.name, self._error)

    def found_down(self, error: str) -> None:
        """A saga waits for it: news only where its gateway calls without telling this object."""
        if not self._made:
            self.failed(error)

    def found_up(self) -> None:
        """A saga waits for it no more, which is news as little."""
        if not self._made:
            self.answered()

    def _open(self, since: datetime) -> None:
        self._down_since, self._probe_at = since, monotonic() + PROBE_SECONDS


class Providers:
    """The providers of one process, by name."""

    def __init__(self, calls: int = CALLS) -> None:
        self._calls = calls
        self._known: dict[str, Provider] = {}
        self.changed: Callable[[], None] = _nobody
        """Called whenever a call ends or a provider is back."""

    def to(self, name: str, calls: int | None = None, failures: int = FAILURES) -> Provider:
        """The provider of this name; who asks for it first says what it takes."""
        if name not in self._known:
            made = self._known[name] = Provider(name, calls or self._calls, failures)
            made.changed = lambda: self.changed()
        return self._known[name]

    @property
    def outages(self) -> list[Outage]:
        """Every provider that is down, as far as this process knows."""
        return [outage for provider in self._known.values() if (outage := provider.outage)]


def _nobody() -> None:
    """Nobody wants to know."""
