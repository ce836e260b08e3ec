"""The thread that renews a lease: as long as the event loop answers, and whatever that is doing."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from datetime import datetime

from workflows.amends.engine.user_code.running_code import on_loop
from workflows.amends.executor.lease import Lease

log = logging.getLogger("amends.lease")

GIVE_UP_SECONDS = 5.0
"""How long what ran under a lease that was taken away may take to end."""


class LoopHeartbeat:
    """Marks that the event loop comes round, by a timer of its own: the database has no part in it."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._loop, self._seconds, self._clock = asyncio.get_running_loop(), seconds, clock
        self._timer: asyncio.TimerHandle | None = None
        self.seen = clock()

    def beat(self) -> None:
        """Mark it now, and again and again until `stop`."""
        self.seen = self._clock()
        on_loop.note_loop_answered()
        self._timer = self._loop.call_later(self._seconds, self.beat)

    def stop(self) -> None:
        if self._timer:
            self._timer.cancel()
        on_loop.stop()


class LeaseThread(threading.Thread):
    """Renews one lease until it is stopped, or the lease was taken away.

    `beat` does it in the database, and returns the database's time; None means that it was taken away, which is for
    good: `taken_away` is called then, in the event loop. `stuck` is called, in this thread, since nothing may answer
    in the event loop, if what ran under the lease has not been given up within five seconds.
    """

    def __init__(
        self,
        lease: Lease,
        beat: Callable[[str, float], datetime | None],
        taken_away: Callable[[], None],
        stuck: Callable[[], None],
    ) -> None:
        super().__init__(name="lease", daemon=True)
        self._lease, self._beat, self._taken_away, self._stuck = lease, beat, taken_away, stuck
        self._loop = asyncio.get_running_loop()
        self._pulse = LoopHeartbeat(lease.seconds / 5, lease.now)
        self._stopped, self._given_up = threading.Event(), threading.Event()

    def start(self) -> None:
        """Begin, in the event loop whose answers count."""
        self._pulse.beat()
        super().start()

    def note_nothing_runs(self) -> None:
        """Nothing runs any more of what ran under the lease."""
        self._given_up.set()

    def stop(self) -> None:
        self._given_up.set()
        self._stopped.set()
        self._pulse.stop()

    def run(self) -> None:
        lease, silent, wait = self._lease, 0, self._lease.seconds / 5
        while not self._stopped.wait(wait):
            asked_at, seen = lease.now(), self._pulse.seen
            if asked_at - seen > lease.seconds / 2:
                silent += 1
                if silent == 2:  # whoever was suspended as a whole finds an old mark once; the watchdog says more
                    log.info("The event loop has not answered for %.1f s: the lease is not renewed.", asked_at - seen)
                wait = lease.seconds / 20
                continue
            silent = 0
            if not self._renewed(asked_at) and not self._stopped.is_set():
                self._lost()
                return
            wait = lease.wait_after(lease.now() - asked_at)

    def _renewed(self, asked_at: float) -> bool:
        """False only if the lease was taken away; while the database does not answer, nothing is known."""
        had = self._lease.is_held()
        try:
            told = self._beat(self._lease.executor, self._lease.seconds)
        except Exception as error:
            self._lease.note_beat_failure(error)
            return True
        return self._lease.note_beat_answer(told, asked_at, had)

    def _lost(self) -> None:
        self._lease.gone = True
        try:
            self._loop.call_soon_threadsafe(self._taken_away)
        except RuntimeError:  # the loop is closed: nothing runs any more
            return
        if not self._given_up.wait(GIVE_UP_SECONDS):
            self._stuck()
