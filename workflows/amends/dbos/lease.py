"""This executor's right to run sagas: renewed by a thread of its own, as long as the event loop answers."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

import psutil

from workflows.amends.dbos.clock import DatabaseClock
from workflows.amends.engine.user_code.running_code import clock, on_loop
from workflows.amends.ports.execution_log import Suspended
from workflows.amends.ports.saga_store import OtherExecutor
from workflows.amends.values.printable import one_line

log = logging.getLogger("amends.lease")


def machine() -> str:
    """Names what a process number means something in: a boot of a machine, a container on it, and how births are told.

    The last part keeps servers of a version that told births in another way from taking each other for dead.
    """
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if boot.exists() and namespace.exists():
        return f"{boot.read_text().strip()}:{namespace.stat().st_ino}:ticks"
    return f"{os.uname().nodename}:{psutil.boot_time():.0f}"


def process_started_at(pid: int) -> float:
    """When a process started: on Linux in ticks since the boot, which no setting of the clock moves, else by the clock.

    Raises psutil.NoSuchProcess.
    """
    if not psutil.LINUX:
        return psutil.Process(pid).create_time()
    try:
        line = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        raise psutil.NoSuchProcess(pid) from None
    return float(line.rpartition(")")[2].split()[_STARTED])


_STARTED: Final = 22 - 3
"""Where the start is in /proc/<pid>/stat, counted from the third field, which is the first after the name."""


def is_gone(other: OtherExecutor, here: str) -> bool:
    """Whether an executor is certainly dead: it ran on this very machine, and its process does not exist any more."""
    if other.machine != here:
        return False
    try:
        return (
            psutil.Process(other.pid).status() == psutil.STATUS_ZOMBIE
            or abs(process_started_at(other.pid) - other.process_started_at) > 2
        )
    except psutil.NoSuchProcess:
        return True


class Pulse:
    """Marks that the event loop comes round, by a timer of its own: the database has no part in it."""

    def __init__(self, seconds: float) -> None:
        self._loop, self._seconds = asyncio.get_running_loop(), seconds
        self._timer: asyncio.TimerHandle | None = None
        self.seen = clock()

    def beat(self) -> None:
        """Mark it now, and again and again until `stop`."""
        self.seen = clock()
        on_loop.answered()
        self._timer = self._loop.call_later(self._seconds, self.beat)

    def stop(self) -> None:
        if self._timer:
            self._timer.cancel()
        on_loop.rest()


class Lease(threading.Thread):
    """One executor's lease: renewed five times in its length, and again soon where that did not work.

    `beat` does it in the database, and returns the database's time; None means that it was taken away, which is for
    good: `lost` is called then, in this thread.
    """

    def __init__(
        self,
        executor: str,
        seconds: float,
        told: DatabaseClock,
        beat: Callable[[str, float], datetime | None],
        lost: Callable[[], None],
    ) -> None:
        super().__init__(name="lease", daemon=True)
        self.executor, self.seconds, self.clock = executor, seconds, told
        self._beat, self._lost = beat, lost
        self._pulse = Pulse(seconds / 5)
        self._until = self._held_since = self._pulse.seen
        self._stopped = threading.Event()
        self.gone = False
        """Whether it was taken away: nothing that runs under it may begin anything any more."""
        self.problem: str | None = None
        """Why it could not be renewed the last time, None if it was."""
        self._say_again_at = 0.0

    def first(self, asked_at: float, told: datetime) -> None:
        """Take note of the lease that came with the registration, asked for at `asked_at`, and of the time then."""
        self._until, self._held_since = asked_at + self.seconds, asked_at
        self.clock.told(told, asked_at, clock())

    def holds(self) -> bool:
        """Whether the lease holds by this process's own clock."""
        return not self.gone and clock() < self._until

    def held_for(self) -> float:
        """For how many seconds the lease has been held without a gap; 0 if it does not hold."""
        return clock() - self._held_since if self.holds() else 0.0

    def require(self) -> None:
        """Raise Parked if it was taken away: whoever runs under it is over."""
        if self.gone:
            raise Suspended

    async def held(self) -> None:
        """Return once the lease holds. Raises Parked if it never will."""
        while not self.holds():
            self.require()
            await asyncio.sleep(0.05)

    def start(self) -> None:
        """Begin, in the event loop whose answers count."""
        self._pulse.beat()
        super().start()

    def stop(self) -> None:
        self._stopped.set()
        self._pulse.stop()

    def run(self) -> None:
        silent, wait = 0, self.seconds / 5
        while not self._stopped.wait(wait):
            asked_at, seen = clock(), self._pulse.seen
            if asked_at - seen > self.seconds / 2:
                silent += 1
                if silent == 2:  # whoever was suspended as a whole finds an old mark once; the watchdog says more
                    log.info("The event loop has not answered for %.1f s: the lease is not renewed.", asked_at - seen)
                wait = self.seconds / 20
                continue
            silent = 0
            if not self._renewed(asked_at) and not self._stopped.is_set():
                self.gone = True
                self._lost()
                return
            wait = self.wait_after(clock() - asked_at)

    def wait_after(self, took: float) -> float:
        """In how many seconds the next beat is due, when the last one took so many.

        A fifth of the lease lies between the beginnings of two beats: after a slow one the next comes at once. One that
        failed is tried again soon, so that the lease outlives a database that is away for most of its length.
        """
        return self.seconds / 20 if self.problem else max(self.seconds / 5 - took, 0.0)

    def _renewed(self, asked_at: float) -> bool:
        """False only if the lease was taken away; while the database does not answer, nothing is known."""
        had = self.holds()
        try:
            told = self._beat(self.executor, self.seconds)
        except Exception as error:
            self._failed(one_line(str(error).strip()) or type(error).__name__)
            return True
        if self.problem:
            log.info("The database answers the lease again.")
            self.problem = None
        if told is None:
            return False
        self.clock.told(told, asked_at, clock())
        self._held_since = self._held_since if had else asked_at
        self._until = asked_at + self.seconds
        return True

    def _failed(self, why: str) -> None:
        """Say why it could not be renewed: at once if that is news, and again once a lease's length has passed."""
        if why != self.problem or clock() >= self._say_again_at:
            log.warning("The lease could not be renewed: %s", why)
            self._say_again_at = clock() + self.seconds
        self.problem = why
