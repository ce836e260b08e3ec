"""Executors in memory: their leases, and what becomes of the sagas of one that ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from workflows.amends.history import saga_histories
from workflows.amends.ports.executors import OtherExecutor
from workflows.amends.simulation.memory.rows import SUSPENDED, ExecutorRow, MemorySagaRow, WorkflowRow
from workflows.amends.simulation.memory.tables import MemoryTables

PATIENT_UP_TO = 5
"""How many executors in a row may die with a saga before that waits longer each time until it is run again."""
LONGEST_SECONDS = 60


@dataclass
class MemoryExecutors(MemoryTables):
    """The processes that run sagas."""

    async def register_executor(
        self, executor: str, machine: str, pid: int, process_started_at: float, saga_types: Sequence[str], lease: float
    ) -> datetime:
        now, until = self.clock.now, self.clock.now + timedelta(seconds=lease)
        made = ExecutorRow(executor, machine, pid, process_started_at, tuple(saga_types), now, now, until)
        self.executors.setdefault(executor, made)
        return now

    def renew_lease(self, executor: str, lease: float, /) -> datetime | None:
        """Renew a lease of so many seconds; returns the store's time, None if the lease was taken away."""
        known = self.executors.get(executor)
        if known is None or known.ended_at:
            return None
        known.renew(self.clock.now, lease)
        return self.clock.now

    async def other_executors(self, executor: str) -> list[OtherExecutor]:
        return [
            OtherExecutor(each.id, each.machine, each.pid, each.process_started_at, each.lease_until < self.clock.now)
            for each in self.executors.values()
            if each.ended_at is None and each.id != executor
        ]

    async def hand_over(self, executor: str, running: Sequence[str]) -> int:
        given = [each for each in self._run_by([executor]) if each.id not in running]
        for each in given:
            each.enqueue(self.clock.now)
        return len(given)

    async def end_executors(self, executors: Sequence[str], by: str, died: bool, patience: float | None = None) -> int:
        known = [self.executors[id] for id in dict.fromkeys(executors) if id in self.executors]
        ended = [each for each in known if each.ended_at is None]
        for each in ended:
            each.ended_at, each.ended_by = self.clock.now, by
        return self._release([each.id for each in ended], died)

    async def release_orphans(self) -> int:
        running = {each.executor for each in self.workflows.values() if each.status == "PENDING" and each.executor}
        known = {each.id for each in self.executors.values() if not each.ended_at}
        return self._release(running - known - {SUSPENDED}, True)

    def _release(self, executors: Iterable[str], died: bool) -> int:
        """Give back to the queue what these executors were running, and count who died without progress."""
        released = self._run_by(executors)
        for each in released:
            each.enqueue(self.clock.now)
            if died and (row := self.rows.get(each.id)):
                self._count(row)
        return len(released)

    def _run_by(self, executors: Iterable[str]) -> list[WorkflowRow]:
        ids = set(executors)
        return [each for each in self.workflows.values() if each.status == "PENDING" and each.executor in ids]

    def _count(self, row: MemorySagaRow) -> None:
        """One executor more has died with it; one after the other that dies at the same place makes it wait."""
        before, version = row.takeovers, self.events.version(saga_histories.stream(row.id))
        again = row.progress == version
        row.takeovers, row.progress = before + 1 if again else 1, version
        wait = min(2 ** (before - PATIENT_UP_TO), LONGEST_SECONDS) if again and before >= PATIENT_UP_TO else None
        row.not_before = None if wait is None else self.clock.now + timedelta(seconds=wait)
