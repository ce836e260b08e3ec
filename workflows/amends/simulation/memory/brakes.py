"""Brakes in memory: set and lifted, and the sagas that wait at them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from domain.amends.errors import NotFound
from domain.amends.event import Cause
from workflows.amends.brakes.brake import Brake, BrakeScope, WhenStarted
from workflows.amends.brakes.events import BrakeLifted, BrakeSet, brake_stream
from workflows.amends.causes.failure_cause import held_start_cause
from workflows.amends.ids import name_and_version
from workflows.amends.ports.brakes import BrakeLift
from workflows.amends.ports.event_store import FeedCursor, NewEvent, RepeatedRequest, StoredAnswer, new_amends_event
from workflows.amends.ports.saga_store import BrakeReport
from workflows.amends.simulation.memory.rows import QUEUE, MemorySagaRow
from workflows.amends.simulation.memory.tables import MemoryTables

MOST_HELD = 500
"""How many queued sagas are taken out of the queue at a claim."""


@dataclass
class MemoryBrakes(MemoryTables):
    """Where brakes are kept, and what they hold."""

    async def set_brake(
        self, brake: Brake, event: NewEvent, answer: StoredAnswer | None
    ) -> FeedCursor | RepeatedRequest:
        return self._set(brake, event, answer)

    def _set(self, brake: Brake, event: NewEvent, answer: StoredAnswer | None) -> FeedCursor | RepeatedRequest:
        known = self.events.event_by_id(event.id)
        if before := self.events.earlier_answer(answer) or (known and known.cursor):
            return before
        cursor = self.events.insert([event])
        self.brake_rows[brake.id] = replace(brake, set_at=self.clock.now)
        self.events.keep_answer(answer, cursor)
        return cursor

    def hold(self, scope: BrakeScope, starts: WhenStarted = "queue", compensations: bool = False) -> str:
        """Set a brake at once, as an operator of a simulation does; returns its id."""
        id = f"b-{len(self.brake_rows) + 1}"
        told = BrakeSet(id, scope, starts, compensations, "simulated")
        brake = Brake(id, scope, starts, compensations, "simulated", "operator", self.clock.now)
        self._set(brake, new_amends_event(brake_stream(id), told, Cause()), None)
        return id

    async def lift_brake(self, id: str, by: str, reason: str, event: NewEvent) -> bool:
        return self._lift(id, by, reason, event)

    def _lift(self, id: str, by: str, reason: str, event: NewEvent) -> bool:
        if self.events.event_by_id(event.id):
            return True
        if id not in self.brake_rows:
            raise NotFound("brake", id)
        if id in self.lifted:
            return False
        self.lifted[id] = BrakeLift(by, reason, self.clock.now)
        self.events.insert([event])
        return True

    def lift(self, id: str) -> None:
        """Lift a brake at once, as an operator of a simulation does."""
        self._lift(
            id, "operator", "simulated", new_amends_event(brake_stream(id), BrakeLifted(id, "simulated"), Cause())
        )

    async def lift_of(self, id: str) -> BrakeLift | None:
        return self.lifted.get(id)

    async def knows_sagas(self, name: str | None, version: int | None) -> bool:
        living = [each for executor in self.executors.values() if not executor.ended_at for each in executor.saga_types]
        known = {(row.name, row.version) for row in self.rows.values()} | {name_and_version(each) for each in living}
        return any(name in (None, of) and version in (None, number) for of, number in known)

    async def brakes(self) -> BrakeReport:
        lifted = any(row.brake is not None and not self.is_in_force(row.brake) for row in self.rows.values())
        return BrakeReport(tuple(self.brakes_in_force()), lifted)

    async def release_held(self, limit: int) -> int:
        waiting = [
            (row.brake_since, row.id, row)
            for row in self.rows.values()
            if row.brake is not None and row.brake_since is not None and not self.is_in_force(row.brake)
        ]
        free = [row for _, _, row in sorted(waiting, key=lambda each: each[:2])[:limit]]
        for row in free:
            held = row.is_held
            row.brake = row.brake_since = None
            if held:
                row.due_at = row.cause = None
                row.since = self.clock.now
                self.enqueue(row)
        return len(free)

    def hold_starts(self, saga_types: set[str]) -> set[str]:
        """Take sagas out of the queue that have not begun and that a brake holds; returns the types of which that is
        so."""
        now = self.clock.now
        by_type = {each: self.start_brake(*name_and_version(each)) for each in saga_types}
        queued = [row for row in self.rows.values() if _is_queued(row) and by_type.get(row.saga_type)]
        first = sorted((row for row in queued if not must_begin(row, now)), key=lambda row: row.workflow.created_at)
        for row in first[:MOST_HELD]:
            brake = by_type[row.saga_type]
            assert brake is not None
            row.workflow.status = "PENDING"
            row.workflow.suspend(now)
            row.brake, row.brake_since, row.due_at = brake.id, row.started_at, row.deadline_at
            row.set_cause(self.keep_cause(held_start_cause(row.name, row.version, brake.id)))
        return {each for each, brake in by_type.items() if brake}


def must_begin(row: MemorySagaRow, now: datetime) -> bool:
    """Whether a saga that has not begun begins whatever holds it: it is to be cancelled, or its deadline is over."""
    return row.cancel_reason is not None or (row.deadline_at is not None and row.deadline_at <= now)


def _is_queued(row: MemorySagaRow) -> bool:
    return row.status == "queued" and row.is_queued and row.workflow.queue == QUEUE
