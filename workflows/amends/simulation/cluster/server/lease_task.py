"""What renews the lease of a simulated server: a task in place of a thread, by the same rules."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from workflows.amends.executor.lease import Lease
from workflows.amends.simulation.cluster.network import NetworkLink

GIVE_UP_SECONDS = 5.0
"""How long what ran under a lease that was taken away may take to end before its process is ended."""


class LeaseTask:
    """Renews one lease. `beat` does it in the store, `stuck` ends the process where code of sagas does not end."""

    def __init__(
        self,
        lease: Lease,
        link: NetworkLink,
        beat: Callable[[str, float], datetime | None],
        taken_away: Callable[[], None],
        stuck: Callable[[], None],
    ) -> None:
        self._lease, self._link, self._beat = lease, link, beat
        self._taken_away, self._stuck = taken_away, stuck
        self._task: asyncio.Task[None] | None = None
        self._given_up = asyncio.Event()

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._renew(), name="lease")

    def note_nothing_runs(self) -> None:
        self._given_up.set()

    def stop(self) -> None:
        self._given_up.set()
        if self._task:
            self._task.cancel()

    async def _renew(self) -> None:
        lease, wait = self._lease, self._lease.seconds / 5
        while True:
            await asyncio.sleep(wait)
            asked_at, had = lease.now(), lease.is_held()
            try:
                told = await self._link.ask_once(
                    lambda: self._beat(lease.executor, lease.seconds), min(2.5, max(1.0, lease.seconds / 2))
                )
            except TimeoutError as silent:
                lease.note_beat_failure(silent)
            else:
                if not lease.note_beat_answer(told, asked_at, had):
                    break
            wait = lease.wait_after(lease.now() - asked_at)
        lease.gone = True
        self._taken_away()
        try:
            async with asyncio.timeout(GIVE_UP_SECONDS):
                await self._given_up.wait()
        except TimeoutError:
            self._stuck()
