"""A step in our own database: what it decides is committed with its checkpoint, or it runs again."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

from domain.aggregate import Aggregate
from domain.errors import AmendsError, Contended, TooLarge
from workflows.calls import Retry, seconds
from workflows.engine.chronicle import Chronicle
from workflows.engine.user_code import NeverEnds, Raised, Returned, UserCode
from workflows.events import NewEvent, Overtaken
from workflows.ids import new_id
from workflows.ports import Committed, Entry, Interrupted, Stale, Unit
from workflows.words import MisplacedCall

P = ParamSpec("P")
S = TypeVar("S")
E = TypeVar("E")

RERUNS = 100
"""How often a transaction is run again because others wrote first, before a person is asked."""

AGAIN: Final = Retry(first_wait=seconds(0.05), longest_wait=seconds(2))
"""How long it waits before it runs again, because of the database or of others who wrote first."""

log = logging.getLogger("amends.saga")


class TooSlow(AmendsError):
    """It took longer than {limit} s, and did nothing: what takes time belongs into a step, before the transaction."""

    limit: float


@dataclass
class Changes:
    """The `tx` of a transaction: collects what it decides until the step is committed."""

    unit: Unit
    chronicle: Chronicle
    step: str
    events: list[NewEvent] = field(default_factory=list)
    expected: dict[str, int] = field(default_factory=dict)
    over: bool = False
    _size: int = 0
    _states: dict[str, Any] = field(default_factory=dict)

    async def decide(
        self,
        aggregate: Aggregate[S, E],
        key: str,
        decision: Callable[Concatenate[S, P], Iterable[E]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> S:
        self._require_open("decide")
        stream = aggregate.stream(key)
        if stream not in self._states:
            self._states[stream], self.expected[stream] = await self.unit.load(aggregate, key)
        decided, id = list(decision(self._states[stream], *args, **kwargs)), str(new_id())
        self._add(stream, decided, id)
        self._states[stream] = aggregate.fold(decided, self._states[stream])
        state: S = self._states[stream]
        return state

    def append(self, stream: str, *events: object) -> None:
        self._require_open("append")
        self._add(stream, events)

    async def execute(self, sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
        self._require_open("execute")
        return await self.unit.execute(sql, parameters)

    def _add(self, stream: str, events: Iterable[object], decision: str | None = None) -> None:
        limit = self.chronicle.journal.limits.commit
        for event in events:
            self.events.append(self.chronicle.business_event(stream, event, self.step, decision))
            self._size += self.events[-1].size
            if self._size > limit:
                raise TooLarge(f"what {self.step} writes in one transaction", limit)

    def _require_open(self, what: str) -> None:
        if self.over:
            raise MisplacedCall(
                f"tx.{what}", f"the transaction of {self.step} is over: what it does must be awaited in it"
            )


class _Failed(Exception):
    """The body ended otherwise than by returning: nothing is committed."""

    def __init__(self, raised: Raised) -> None:
        self.raised = raised


async def transact(
    name: str,
    chronicle: Chronicle,
    code: UserCode,
    limit: timedelta,
    body: Callable[[Changes], Coroutine[Any, Any, Any]],
    entry: Callable[[Any, Changes], Entry],
    again: Callable[[], None],
) -> Returned[Any] | Raised:
    """Run `body` from its first line until what it decided is committed; returns how it ended.

    A database that is away is waited for, however long. What the transaction itself may cause, and others who write
    first, are tolerated a bounded number of times: then Contended or Overtaken are what it raised. `again` is called
    before every further run; it raises what prevents that. Nothing was written where Raised is returned.
    """
    stale = tries = interruptions = 0
    while True:
        try:
            made, result, committed = await _once(name, chronicle, code, limit.total_seconds(), body, entry)
        except _Failed as failed:
            return failed.raised
        except Interrupted as interrupted:
            log.info("%s was interrupted and runs again: %s", name, interrupted)
            interruptions += 1
            tries += interrupted.tries is not None
            if interrupted.tries is not None and tries >= interrupted.tries:
                return Raised(Contended(tries, interrupted.problem))
            wait = AGAIN.wait_after(interruptions).total_seconds()
        else:
            if not isinstance(committed, Stale):
                chronicle.written(made)
                return Returned(result)
            stale += 1
            if stale >= RERUNS:
                return Raised(Overtaken(committed.stream, stale))
            wait = random.uniform(0, 0.002 * stale)
        again()
        await chronicle.journal.listen(wait)
        again()


async def _once(
    name: str,
    chronicle: Chronicle,
    code: UserCode,
    limit: float,
    body: Callable[[Changes], Coroutine[Any, Any, Any]],
    entry: Callable[[Any, Changes], Entry],
) -> tuple[Entry, Any, Committed | Stale]:
    """One transaction. Raises Interrupted, and _Failed if the body did not return."""
    async with chronicle.journal.transaction() as unit:
        changes = Changes(unit, chronicle, name)
        try:
            ended = await code.within(name, limit, lambda: body(changes), chronicle.completed_at)
        finally:
            changes.over = True
        if unit.interrupted:
            raise unit.interrupted
        if isinstance(ended, Raised):
            too_slow = ended.late and isinstance(ended.error, asyncio.CancelledError | NeverEnds)
            raise _Failed(Raised(TooSlow(limit)) if too_slow and not code.given_up else ended)
        made = entry(ended.value, changes)
        try:
            return made, ended.value, await unit.commit(made)
        except Interrupted:
            raise
        except Exception as error:
            raise _Failed(Raised(error)) from error
