"""One transaction of a step in memory: what it reads is there at once, and it has no SQL of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from domain.amends.aggregate import Aggregate
from workflows.amends.ports.event_store import load_event_json
from workflows.amends.ports.execution_log import Committed, StepCommit, StreamMoved, TransactionInterrupted
from workflows.amends.simulation.memory.events import MemoryEvents

S = TypeVar("S")
E = TypeVar("E")


@dataclass
class MemoryTransaction:
    """Reads and the commit of one transaction step; nothing interrupts it."""

    events: MemoryEvents
    write: Callable[[StepCommit], Committed | StreamMoved]
    interrupted: TransactionInterrupted | None = None

    async def load(self, aggregate: Aggregate[S, E], key: str) -> tuple[S, int]:
        kept = self.events.stream_events(aggregate.stream(key))
        events = [load_event_json(aggregate.vocabulary, stored.type, stored.data_json) for stored in kept]
        return aggregate.fold(events), len(events)

    async def execute(self, sql: str, parameters: Mapping[str, Any] | None) -> list[dict[str, Any]]:
        raise NotImplementedError("a simulation has no database: test a step with SQL of its own on Postgres")

    async def commit(self, step_commit: StepCommit) -> Committed | StreamMoved:
        return self.write(step_commit)
