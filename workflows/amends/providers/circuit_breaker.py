"""Stops calls to a provider that does not answer, and finds out when it is back.

After Michael Nygard's "Release It!": it opens after a number of calls in a row without an answer, lets one call a
second try while it is open, and closes at the first answer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from workflows.amends.call import ProviderDown
from workflows.amends.clocks import Clocks
from workflows.amends.values.printable import one_line

log = logging.getLogger("amends.providers")

FAILURES: Final = 3
"""So many calls in a row without an answer, of whichever sagas, and a provider is taken to be down. A step has as many
attempts by default, and the call that opens the breaker is none: a saga alone does not spend its last one on that."""
PROBE_SECONDS: Final = 1.0
"""How often one call tries whether a provider that is down is back."""
SILENT_SECONDS: Final = 1.5
"""So long such a call waits for an answer, or twice as long as the longest call that was answered took."""
WHOLE: Final = 10
"""One in so many of these calls waits for the whole time that its step has, as a slow provider needs; others go on
beside it."""
FORGET_SECONDS: Final = 30.0
"""After so many seconds in which nobody called, and nobody waits, a provider is not said to be down any more."""
MOMENT: Final = 5.0
"""For so many seconds after an answer a provider is taken to answer; so long waits who is refused all the same."""
ERROR: Final = 300
"""How many characters of an error are kept."""


@dataclass(frozen=True)
class Outage:
    """A provider that is down, as one process sees it: since when, and what its last call came to."""

    provider: str
    since: datetime
    error: str


@dataclass(frozen=True, eq=False)
class Probe:
    """A call that tries whether a provider is back, and how long it waits for that; None: for its whole time."""

    began: float
    seconds: float | None


class CircuitBreaker:
    """Whether a provider is down, and who may try whether it is back."""

    def __init__(self, name: str, failures: int, clocks: Clocks = Clocks()) -> None:
        self.name, self.failures, self.clocks = name, failures, clocks
        self.closed: Callable[[], None] = _nobody
        self.deaf = False
        """Whether calls are cut off from this side: then their end says nothing of the provider."""
        self._in_a_row = self._probes = 0
        self._since: datetime | None = None
        self._answered_at: datetime | None = None
        self._error, self._probe_at, self._called_at, self._longest = "", 0.0, clocks.seconds(), 0.0
        self._whole: Probe | None = None
        self._answered = self._closed_at = -MOMENT

    @property
    def outage(self) -> Outage | None:
        """What is wrong, None if nothing is."""
        return Outage(self.name, self._since, self._error) if self._since else None

    @property
    def is_answering(self) -> bool:
        """Whether somebody was answered a moment ago."""
        return self.clocks.seconds() - self._answered < MOMENT

    @property
    def seconds_closed(self) -> float:
        """For how many seconds it has been closed, as far as this process knows."""
        return self.clocks.seconds() - self._closed_at

    @property
    def may_probe(self) -> bool:
        """Whether it is open, and a call may try."""
        return self._since is not None and self.clocks.seconds() >= self._probe_at

    def admit_call(self) -> Probe | None:
        """The right to make a call: None while it is closed. Raises ProviderDown while it is open, but for one call."""
        self._called_at = now = self.clocks.seconds()
        if self._since is None:
            return None
        if now < self._probe_at:
            raise self.provider_down_error()
        self._probes += 1
        patience = max(SILENT_SECONDS, 2 * self._longest)
        self._probe_at = now + patience
        if self._whole is None and self._probes % WHOLE == 0:
            self._whole = Probe(now, None)
            return self._whole
        return Probe(now, patience)

    def call_ended(self, probe: Probe) -> None:
        """Such a call has ended: the next one may try a second after it began."""
        if probe is self._whole:
            self._whole = None
        self._probe_at = max(probe.began + PROBE_SECONDS, min(self._probe_at, self.clocks.seconds()))

    def provider_down_error(self) -> ProviderDown:
        """What a call is told while the provider is down: since when, and its last error."""
        since = f"since {self._since.isoformat(timespec='seconds')}, " if self._since else ""
        return ProviderDown(self.name, f"{since}{self._error}")

    def note_failure(self, error: str, waited: bool = False) -> None:
        """A call was not answered. While others are, one of a saga that `waited` says more of the saga than of it."""
        if self.deaf or (waited and self._since is None and self.is_answering):
            return
        self._in_a_row, self._error = self._in_a_row + 1, one_line(error)[:ERROR]
        if self._in_a_row >= self.failures and self._since is None:
            self._open(self.clocks.now())
            log.warning("The provider %s is down (%s): sagas wait for it.", self.name, self._error)

    def note_answer(self, seconds: float = 0.0) -> None:
        """A call was answered, whatever the answer says, after so many seconds."""
        self._in_a_row, self._answered_at, self._answered = 0, self.clocks.now(), self.clocks.seconds()
        self._longest = max(seconds, self._longest * 0.99)
        if self._since is not None:
            took = (self._answered_at - self._since).total_seconds()
            log.warning("The provider %s is back after %.0f s.", self.name, took)
            self._since, self._closed_at = None, self.clocks.seconds()
            self.closed()

    def note_report(self, outage: Outage) -> None:
        """Another process says that it is down: so it is here too, unless it has answered here since then."""
        if self._since is None and (self._answered_at is None or self._answered_at < outage.since):
            self._error, self._called_at = outage.error, self.clocks.seconds()
            self._open(outage.since)
            log.warning("The provider %s is down (%s), as others found: sagas wait for it.", self.name, self._error)

    def note_probe(self) -> None:
        """Somebody was let go on who may be refused without a call: the next one may try a second later."""
        self._probe_at = self.clocks.seconds() + PROBE_SECONDS

    def forget(self) -> None:
        """Nobody waits: what nobody has tried for a while is not known any more. The next failure says it again."""
        if self._since is not None and self.clocks.seconds() - self._called_at > FORGET_SECONDS:
            self._since, self._answered_at, self._in_a_row = None, self.clocks.now(), self.failures - 1

    def _open(self, since: datetime) -> None:
        self._since, self._probe_at = since, self.clocks.seconds() + PROBE_SECONDS


def _nobody() -> None:
    """Nobody wants to know."""
