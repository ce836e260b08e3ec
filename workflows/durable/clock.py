"""The database's time, as this process knows it: timers go by it, so that servers whose clocks differ agree."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Final

from workflows.engine.marks import clock

BLUR: Final = 0.25
"""An answer that took longer than this, in seconds, tells the time less well than one that is not old yet."""
OLD: Final = 30.0
"""After so many seconds a blurred answer is better than the last good one."""
BACK: Final = timedelta(seconds=1)
"""A time that is earlier than the last one by less than this is not told: two answers differ by a little."""


class DatabaseClock:
    """Told the database's time now and then, by any thread; tells it at any moment, in whole milliseconds."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._at, self._told_at = datetime.now(UTC), clock()
        self._last, self._known = self._at, False

    def told(self, at: datetime, asked: float, answered: float) -> None:
        """Take note that the database said `at` between two moments of this process's clock.

        It is taken as if it had been said at the end: so this clock is never ahead of the database's.
        """
        with self._lock:
            if self._known and answered - asked > BLUR and answered - self._told_at < OLD:
                return
            self._at, self._told_at, self._known = at, answered, True

    def now(self) -> datetime:
        """The database's time; it never goes back by a little."""
        with self._lock:
            now = self._at + timedelta(seconds=clock() - self._told_at)
            self._last = now if now < self._last - BACK else max(now, self._last)
            return self._last.replace(microsecond=self._last.microsecond // 1000 * 1000)
