"""A step in our own database: what it decides is committed with its checkpoint, or it runs again."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Concatenate, ParamSpec, TypeVar

from domain.aggregate import Aggregate
from workflows.engine.chronicle import Chronicle
from workflows.events import NewEvent, Overtaken
from workflows.ids import new_id
from workflows.ports import Committed, Entry, Interrupted, Unit

P = ParamSpec("P")
S = TypeVar("S")
E = TypeVar("E")

RERUNS = 100
"""How often a transaction is run again because others wrote first, before a person is asked."""

log = logging.getLogger("amends.saga")


@dataclass
class Changes:
    """The `tx` of a transaction: collects what it decides until the step is committed."""

    unit: Unit
    chronicle: Chronicle
    step: str
    events: list[NewEvent] = field(default_factory=list)
    expected: dict[str, int] = field(default_factory=dict)
    _states: dict[str, Any] = field(default_factory=dict)

    async def decide(
        self,
        aggregate: Aggregate[S, E],
        key: str,
        decision: Callable[Concatenate[S, P], Iterable[E]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> S:
        stream = aggregate.stream(key)
        if stream not in self._states:
            self._states[stream], self.expected[stream] = await self.unit.load(aggregate, key)
        decided, id = list(decision(self._states[stream], *args, **kwargs)), str(new_id())
        self.events += [self.chronicle.event(stream, event, self.step, id) for event in decided]
        self._states[stream] = aggregate.fold(decided, self._states[stream])
        state: S = self._states[stream]
        return state

    def append(self, stream: str, *events: object) -> None:
        self.events += [self.chronicle.event(stream, event, self.step) for event in events]

    async def execute(self, sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        return await self.unit.execute(sql, parameters)


async def transact(
    name: str,
    chronicle: Chronicle,
    body: Callable[[Changes], Awaitable[Any]],
    entry: Callable[[Any, Changes], Entry],
) -> Any:
    """Run `body` from its first line until what it decided is committed; returns what it returned.

    A database that goes away meanwhile is waited for by the journal; others who write first are tolerated a
    bounded number of times. Raises whatever `body` raises, having written nothing, and Overtaken when others are
    always first.
    """
    stale = 0
    while True:
        try:
            async with chronicle.journal.transaction() as unit:
                changes = Changes(unit, chronicle, name)
                result = await body(changes)
                made = entry(result, changes)
                committed = await unit.commit(made)
        except Interrupted as interrupted:
            log.info("%s was interrupted and runs again: %s", name, interrupted)
            continue
        if isinstance(committed, Committed):
            chronicle.written(made)
            return result
        stale += 1
        if stale >= RERUNS:
            raise Overtaken(committed.stream, stale)
