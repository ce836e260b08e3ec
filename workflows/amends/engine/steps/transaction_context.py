"""The `tx` of a transaction: what its code decides and asks for, one after the other, until the step is committed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Sequence
from functools import partial
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from domain.amends.aggregate import Aggregate
from domain.amends.errors import TooLarge
from workflows.amends.engine.history_writer import HistoryWriter
from workflows.amends.ids import new_id
from workflows.amends.ports.event_store import NewEvent
from workflows.amends.ports.execution_log import StepTransaction
from workflows.amends.run_calls import UNAWAITED, MisplacedCall

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")
E = TypeVar("E")


class TransactionCall(Generic[R]):
    """Something that the code of a transaction asks for: it is done when it is awaited, in that transaction."""

    def __init__(self, what: str, make: Callable[[], Coroutine[Any, Any, R]]) -> None:
        self.what, self._make = what, make
        self.awaited = self.ended = False

    def __await__(self) -> Generator[Any, Any, R]:
        self.awaited = True
        try:
            return (yield from self._make().__await__())
        finally:
            self.ended = True


class TransactionContext:
    """Collects what a transaction does. Several things that are asked for at once are done one after the other."""

    def __init__(self, transaction: StepTransaction, history: HistoryWriter, step: str) -> None:
        self._transaction, self._history, self._step = transaction, history, step
        self.events: list[NewEvent] = []
        self.expected: dict[str, int] = {}
        self.over = False
        self._size = 0
        self._states: dict[str, Any] = {}
        self._asked: list[TransactionCall[Any]] = []
        self._turn = asyncio.Lock()

    def decide(
        self,
        aggregate: Aggregate[S, E],
        key: str,
        decision: Callable[Concatenate[S, P], Iterable[E]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Awaitable[S]:
        def decide(state: S) -> Iterable[E]:
            return decision(state, *args, **kwargs)

        return self._ask("decide", partial(self._decided, aggregate, key, decide))

    def append(self, stream: str, *events: object) -> None:
        self._require_open("append")
        if not isinstance(stream, str):
            raise MisplacedCall("tx.append", f"takes the name of a stream, then events, not {type(stream).__name__}")
        self._add(self._made(stream, events))

    def execute(self, sql: str, parameters: dict[str, Any] | None = None) -> Awaitable[list[dict[str, Any]]]:
        return self._ask("execute", partial(self._transaction.execute, sql, parameters))

    @property
    def unfinished_call(self) -> MisplacedCall | None:
        """What was asked for and not awaited, or is still under way, once the code has ended; None if nothing is."""
        for asked in self._asked:
            if not asked.awaited:
                return MisplacedCall(asked.what, UNAWAITED)
            if not asked.ended:
                return MisplacedCall(asked.what, "is still under way in another task: await it in the transaction")
        return None

    def _ask(self, what: str, make: Callable[[], Coroutine[Any, Any, R]]) -> TransactionCall[R]:
        self._require_open(what)

        async def one_by_one() -> R:
            async with self._turn:
                self._require_open(what)
                return await make()

        asked = TransactionCall(f"tx.{what}", one_by_one)
        self._asked = [*(each for each in self._asked if not each.ended), asked]
        return asked

    async def _decided(self, aggregate: Aggregate[S, E], key: str, decision: Callable[[S], Iterable[E]]) -> S:
        stream = aggregate.stream(key)
        if stream not in self._states:
            self._states[stream], self.expected[stream] = await self._transaction.load(aggregate, key)
        decided = aggregate.require_own_events(decision(self._states[stream]))
        made = self._made(stream, decided, str(new_id()))
        state = aggregate.fold([each.event for each in made], self._states[stream])
        self._add(made)
        self._states[stream] = state
        return state

    def _made(self, stream: str, events: Iterable[object], decision: str | None = None) -> list[NewEvent]:
        """The events as they will be stored. Raises TooLarge, and Unstorable, and then none of them is."""
        limit, size, made = self._history.execution_log.limits.commit, self._size, []
        for event in events:
            made.append(self._history.business_event(stream, event, self._step, decision))
            size += made[-1].size
            if size > limit:
                raise TooLarge(f"what {self._step} writes in one transaction", limit)
        return made

    def _add(self, made: Sequence[NewEvent]) -> None:
        self.events += made
        self._size += sum(event.size for event in made)

    def _require_open(self, what: str) -> None:
        if self.over:
            raise MisplacedCall(
                f"tx.{what}", f"the transaction of {self._step} is over: what it does must be awaited in it"
            )
