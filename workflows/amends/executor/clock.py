"""The database's time, as this process knows it: timers go by it, so that servers whose clocks differ agree."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from workflows.amends.clocks import Clocks

BLUR: Final = 0.25
"""An answer that took longer than this, in seconds, tells the time less well than one that is not old yet."""
OLD: Final = 30.0
"""After so many seconds a blurred answer is better than the last good one."""
BACK: Final = 1000
"""A time that is earlier than the last one by fewer milliseconds is not told: two answers differ by a little."""


class DatabaseClock:
    """Told the database's time now and then, by any thread; tells it at any moment, in whole milliseconds."""

    def __init__(self, clocks: Clocks = Clocks()) -> None:
        self._seconds = clocks.seconds
        self._ahead = clocks.now().timestamp() - clocks.seconds()
        self._told_at, self._known, self._last = clocks.seconds(), False, 0

    def synchronise(self, at: datetime, asked: float, answered: float) -> None:
        """Take note that the database said `at` between two moments of this process's clock.

        It is taken as if it had been said at the end: so this clock is never ahead of the database's.
        """
        if self._known and answered - asked > BLUR and answered - self._told_at < OLD:
            return
        self._ahead = at.timestamp() - answered
        self._told_at, self._known = answered, True

    def now(self) -> datetime:
        """The database's time; it never goes back by a little."""
        now = int((self._seconds() + self._ahead) * 1000)
        self._last = last = now if now > self._last or now < self._last - BACK else self._last
        return datetime.fromtimestamp(last / 1000, UTC)
