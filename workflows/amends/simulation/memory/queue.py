"""The queue of sagas in memory: claimed, woken, given back, and looked after."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice

from workflows.amends.history import Status
from workflows.amends.ports.event_store import NewEvent
from workflows.amends.ports.execution_log import StatusChange
from workflows.amends.ports.saga_store import ClaimedSaga, ProviderReport
from workflows.amends.providers import Outage
from workflows.amends.simulation.memory.brakes import MemoryBrakes, must_begin
from workflows.amends.simulation.memory.rows import QUEUE, MemorySagaRow, WorkflowRow

MOST = 100
"""How many sagas of a kind an answer names that says what should not happen."""
RUNNING_FOR = timedelta(seconds=5)
"""For how long a saga must be recorded as running before its executor is asked whether it does."""
OPEN: frozenset[Status] = frozenset(("queued", "running", "waiting", "compensating", "stuck", "stranded"))


@dataclass
class MemoryQueue(MemoryBrakes):
    """Sagas that nobody runs, for whoever looks after them."""

    outages: dict[tuple[str, str], Outage] = field(default_factory=dict)
    """By provider and executor, what executors have reported."""

    async def claim(self, executor: str, owner: str, saga_types: Sequence[str], limit: int) -> list[ClaimedSaga]:
        held, now = self.hold_starts(set(saga_types)), self.clock.now
        if not self.is_alive(executor):
            return []
        queued = (row for row in self._queued() if row.saga_type in saga_types)
        free = (row for row in queued if row.status != "queued" or row.saga_type not in held or must_begin(row, now))
        ready = [row for row in free if row.not_before is None or row.not_before < now]
        oldest = sorted(ready, key=lambda row: row.workflow.created_at)[:limit]
        return [self.assign_to_executor(row, executor, owner) for row in oldest]

    def _queued(self) -> Iterable[MemorySagaRow]:
        """Sagas in our own queue; what DBOS's tools have queued is run by DBOS."""
        return (row for row in self.rows.values() if row.is_queued and row.workflow.queue == QUEUE)

    async def awaited_providers(self, executor: str) -> list[ProviderReport]:
        waits = {row.provider for row in self.rows.values() if row.has_awaited_provider}
        others = [outage for (_, by), outage in self.outages.items() if by != executor]
        found = list[ProviderReport]()
        for provider in sorted({*filter(None, waits), *(each.provider for each in others)}):
            known = [each for each in others if each.provider == provider]
            outage = (
                Outage(provider, min(each.since for each in known), max(each.error for each in known))
                if known
                else None
            )
            found.append(ProviderReport(provider, provider in waits, outage))
        return found

    def report_outages(self, executor: str, outages: Sequence[Outage], changed: Sequence[str]) -> None:
        """Take note of all that an executor knows of providers that are down; `changed` are those that it has news of.

        What ended executors have said of those is forgotten.
        """
        down = {each.provider for each in outages}
        for provider, by in list(self.outages):
            over = (known := self.executors.get(by)) is not None and known.ended_at is not None
            if (by == executor and provider not in down) or (over and provider in changed):
                del self.outages[provider, by]
        self.outages |= {(each.provider, executor): each for each in outages}

    async def claim_waiting_for_provider(
        self, executor: str, owner: str, provider: str, saga_types: Sequence[str], limit: int, patience: float
    ) -> list[ClaimedSaga]:
        if not self.is_alive(executor):
            return []
        asked = self.clock.now - timedelta(seconds=patience)
        waiting = [
            row
            for row in self.rows.values()
            if row.awaits_provider and row.provider == provider and row.saga_type in saga_types and row.since <= asked
        ]
        first = sorted(waiting, key=lambda row: row.since)[:limit]
        return [self.assign_to_executor(row, executor, owner) for row in first]

    async def enqueue_due(self, limit: int) -> int:
        now = self.clock.now
        due = [
            (row.due_at, row)
            for row in self.rows.values()
            if row.due_at is not None and row.due_at <= now and (row.status == "waiting" or row.is_held)
        ]
        woken = sorted(due, key=lambda each: each[0])[:limit]
        for _, row in woken:
            row.clear_wait(now)
            self.enqueue(row)
        return len(woken)

    async def note_unclaimed_run(self, id: str) -> None:
        if row := self.rows.get(id):
            row.settled = row.was_settled = False

    async def adopt_fork(self, id: str) -> None:
        fork = self.workflows.get(id)
        origin = self.rows.get(fork.forked_from) if fork and fork.forked_from else None
        if fork is None or origin is None or id in self.rows:
            return
        self.rows[id] = MemorySagaRow(
            id=id,
            name=origin.name,
            version=origin.version,
            root=origin.root,
            reference=origin.reference,
            status="running",
            correlation_id=origin.correlation_id,
            actor=origin.actor,
            request=f"fork of {origin.id}",
            started_at=self.clock.now,
            since=self.clock.now,
            workflow=fork,
            was_settled=True,
        )

    async def cancel_requests(self, executor: str) -> list[tuple[str, str]]:
        return [
            (row.id, row.cancel_reason)
            for row in self.rows.values()
            if row.cancel_reason is not None and row.finished_at is None and row.workflow.is_run_by(executor)
        ]

    async def recorded_running(self, executor: str) -> list[tuple[str, str]]:
        until = self.clock.now - RUNNING_FOR
        return [
            (each.id, each.owner or "")
            for each in self.workflows.values()
            if each.is_run_by(executor) and each.updated_at < until
        ]

    async def release(self, id: str, executor: str, owner: str) -> None:
        workflow = self.workflows.get(id)
        if workflow and workflow.is_run_by(executor) and workflow.owner == owner:
            workflow.enqueue(self.clock.now)

    async def requeue_lost_ends(self) -> int:
        lost = [
            row
            for row in self.rows.values()
            if row.finished_at is None and row.status in OPEN - {"queued"} and _says_its_own_end(row.workflow)
        ]
        for row in lost:
            row.workflow.status, row.workflow.output, row.workflow.error = "PENDING", None, None
            row.settled = False
            self.enqueue(row)
        return len(lost)

    async def queued_without_code(self) -> list[tuple[str, str, int]]:
        known = self._types_with_code()
        queued = (row for row in self._queued() if row.status != "stranded" and row.saga_type not in known)
        waiting = (row for row in self.rows.values() if row.has_awaited_provider and row.saga_type not in known)
        held = (row for row in self.rows.values() if row.has_brake and row.saga_type not in known)
        found = [*islice(queued, MOST), *islice(waiting, MOST), *islice(held, MOST)]
        return [(row.id, row.name, row.version) for row in found]

    def _types_with_code(self) -> set[str]:
        return {each for executor in self.executors.values() if not executor.ended_at for each in executor.saga_types}

    async def claim_incompatible(
        self, executor: str, owner: str, saga_types: Sequence[str], limit: int, tried: Sequence[str]
    ) -> list[ClaimedSaga]:
        if not self.is_alive(executor):
            return []
        found = [
            row
            for row in self.rows.values()
            if row.status == "stranded" and row.saga_type in saga_types and row.workflow.is_suspended
        ]
        first = sorted((row for row in found if row.id not in tried), key=lambda row: (row.since, row.id))[:limit]
        return [self.assign_to_executor(row, executor, owner) for row in first]

    async def ended_abnormally(self) -> list[tuple[str, str, int, str]]:
        ended = (
            row for row in self.rows.values() if row.status in OPEN and row.workflow.status in ("CANCELLED", "ERROR")
        )
        return [(row.id, row.name, row.version, row.workflow.status) for row in islice(ended, MOST)]

    async def append_to_unowned(self, id: str, event: NewEvent, change: StatusChange, unless: Sequence[Status]) -> bool:
        row = self.rows.get(id)
        if row is None or row.status in (*unless, change.status):
            return False
        if change.status == "stranded":
            if row.saga_type in self._types_with_code():
                return False
            if row.workflow.is_suspended:
                row.workflow.enqueue(self.clock.now)
        self.events.insert([self.new_saga_event(row, event)])
        row.status, row.reason, row.since = change.status, change.reason, self.clock.now
        row.brake = row.brake_since = None
        row.set_cause(self.note_cause(row, change))
        return True


def _says_its_own_end(workflow: WorkflowRow) -> bool:
    """Whether a workflow has ended by what its saga said, and not by DBOS's tools."""
    told = (workflow.error or "").startswith('{"name": "TurnedBack"')
    return workflow.status == "SUCCESS" or (workflow.status == "ERROR" and told)
