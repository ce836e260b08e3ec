"""Decisions outside sagas: load, decide, append; and once more with fresh state if another writer was quicker."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar

from domain.amends.aggregate import Aggregate
from domain.amends.contained import call_contained
from domain.amends.errors import StaleVersion
from domain.amends.event import Cause
from domain.amends.expected import exact
from workflows.amends.ids import new_id
from workflows.amends.ports.event_store import (
    EventStore,
    FeedCursor,
    Overtaken,
    RepeatedRequest,
    StoredAnswer,
    new_business_event,
    repeated_answer,
)
from workflows.amends.values.limits import Limits

S = TypeVar("S")
E = TypeVar("E")
P = ParamSpec("P")

ATTEMPTS = 50
"""How often a decision is made anew because of other writers, before the caller has to try later."""


class Loader(Protocol):
    """Loads the state of a stream's aggregate."""

    async def load(self, aggregate: Aggregate[S, E], stream: str) -> tuple[S, int]: ...


@dataclass(frozen=True)
class IdempotentRequest(Generic[S]):
    """A request with an idempotency key: a digest of it, and the answer that it gets once it is decided."""

    key: str
    digest: str
    answer: Callable[[S, int], Mapping[str, Any]]


@dataclass(frozen=True)
class Decided(Generic[S]):
    """The state after a decision, the version of its stream, and the place in the feed that shows it.

    `before` is the answer that the same request got earlier; nothing was done then.
    """

    state: S
    version: int
    cursor: FeedCursor | None
    before: dict[str, Any] | None = None


class Repository:
    """Aggregates by key. Each decision is one commit of its own; in a saga `tx.decide` joins the step's commit."""

    def __init__(self, events: EventStore, loader: Loader, limit: int = Limits().value) -> None:
        self._events, self._loader, self._limit = events, loader, limit

    async def load(self, aggregate: Aggregate[S, E], key: str) -> tuple[S, int]:
        """The state and the version of its stream; version 0 before the first event."""
        return await self._loader.load(aggregate, aggregate.stream(key))

    def acting(self, cause: Cause, request: IdempotentRequest[Any] | None = None) -> CausedDecisions:
        """Decisions with a cause, and for a request with a key only once."""
        return CausedDecisions(self._events, self._loader, cause, request, self._limit)


class CausedDecisions:
    """Decisions with one cause."""

    def __init__(
        self, events: EventStore, loader: Loader, cause: Cause, request: IdempotentRequest[Any] | None, limit: int
    ) -> None:
        self._events, self._loader, self._request, self._limit = events, loader, request, limit
        decision = str(new_id())
        self._cause = replace(cause, decision=decision, correlation_id=cause.correlation_id or decision)

    async def decide(
        self,
        aggregate: Aggregate[S, E],
        key: str,
        decision: Callable[Concatenate[S, P], Iterable[E]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Decided[S]:
        """Load, decide and append in one commit. Raises what the decision raises, and Overtaken after many tries."""
        stream = aggregate.stream(key)
        for attempt in range(ATTEMPTS):
            state, version = await self._loader.load(aggregate, stream)
            events = aggregate.require_own_events(call_contained(decision, state, *args, **kwargs))
            try:
                return await self.append(aggregate, stream, version, state, events)
            except StaleVersion:
                await asyncio.sleep(random.uniform(0, min(0.002 * attempt, 0.05)))
        raise Overtaken(stream, ATTEMPTS)

    async def append(
        self, aggregate: Aggregate[S, E], stream: str, version: int, state: S, events: Sequence[E]
    ) -> Decided[S]:
        """Append the events of a decision about a state at a version. Raises StaleVersion if the stream has another one
        by now."""
        new = [new_business_event(stream, event, self._cause, limit=self._limit) for event in events]
        after, reached = aggregate.fold([each.event for each in new], state), version + len(events)
        if not events and self._request is None:
            return Decided(after, reached, None)
        request = self._request
        answer = StoredAnswer(request.key, request.digest, request.answer(after, reached)) if request else None
        done = await self._events.append(new, {stream: exact(version)}, answer)
        if not isinstance(done, RepeatedRequest):
            return Decided(after, reached, done.cursor)
        assert request is not None
        return Decided(after, reached, None, repeated_answer(request.key, request.digest, done))
