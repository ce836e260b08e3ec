"""An executor's right to run sagas: how long it holds by this process's own clock, and when it is to be renewed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from workflows.amends.executor.clock import DatabaseClock
from workflows.amends.ports.execution_log import Suspended
from workflows.amends.values.printable import one_line

log = logging.getLogger("amends.lease")


class LeaseKeeper(Protocol):
    """Renews one lease in the database, whatever else this process does, and says when it was taken away."""

    def start(self) -> None: ...

    def note_nothing_runs(self) -> None:
        """Nothing runs any more of what ran under the lease."""
        ...

    def stop(self) -> None: ...


class Lease:
    """One executor's lease, renewed five times in its length, and again soon where that did not work.

    `now` is a clock that also counts while this process is suspended.
    """

    def __init__(self, executor: str, seconds: float, told: DatabaseClock, now: Callable[[], float]) -> None:
        self.executor, self.seconds, self.clock, self.now = executor, seconds, told, now
        self._until = self._held_since = now()
        self.gone = False
        """Whether it was taken away: nothing that runs under it may begin anything any more."""
        self.problem: str | None = None
        """Why it could not be renewed the last time, None if it was."""
        self._say_again_at = 0.0

    def note_granted(self, asked_at: float, told: datetime) -> None:
        """Take note of the lease that came with the registration, asked for at `asked_at`, and of the time then."""
        self._until, self._held_since = asked_at + self.seconds, asked_at
        self.clock.synchronise(told, asked_at, self.now())

    def is_held(self) -> bool:
        """Whether the lease holds by this process's own clock."""
        return not self.gone and self.now() < self._until

    def seconds_held(self) -> float:
        """For how many seconds the lease has been held without a gap; 0 if it does not hold."""
        return self.now() - self._held_since if self.is_held() else 0.0

    def require_not_lost(self) -> None:
        """Raise Suspended if it was taken away: whoever runs under it is over."""
        if self.gone:
            raise Suspended

    async def wait_until_held(self) -> None:
        """Return once the lease holds. Raises Suspended if it never will."""
        while not self.is_held():
            self.require_not_lost()
            await asyncio.sleep(0.05)

    # -- for whoever renews it

    def wait_after(self, took: float) -> float:
        """In how many seconds the next beat is due, when the last one took so many.

        A fifth of the lease lies between the beginnings of two beats: after a slow one the next comes at once. One that
        failed is tried again soon, so that the lease outlives a database that is away for most of its length.
        """
        return self.seconds / 20 if self.problem else max(self.seconds / 5 - took, 0.0)

    def note_beat_answer(self, told: datetime | None, asked_at: float, had: bool) -> bool:
        """Take note of an answer to a beat: the database's time, or None if the lease was taken away; False for that.

        `had` says whether the lease held when it was asked, at `asked_at`.
        """
        if self.problem:
            log.info("The database answers the lease again.")
            self.problem = None
        if told is None:
            return False
        self.clock.synchronise(told, asked_at, self.now())
        self._held_since = self._held_since if had else asked_at
        self._until = asked_at + self.seconds
        return True

    def note_beat_failure(self, error: BaseException) -> None:
        """Say why it could not be renewed: at once if that is news, and again once a lease's length has passed."""
        why = one_line(str(error).strip()) or type(error).__name__
        if why != self.problem or self.now() >= self._say_again_at:
            log.warning("The lease could not be renewed: %s", why)
            self._say_again_at = self.now() + self.seconds
        self.problem = why
