"""Undo and redo: the last decision about an aggregate is taken back, or made again, by inverse events.

Nothing is deleted. Decisions form a stack, as in an editor: undo takes back the last one that stands, undo again the
one before, redo makes the last undone one again, and a new decision leaves nothing to redo.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypeAlias

from app.amends.store.aggregates.repository import CausedDecisions, Decided, IdempotentRequest
from domain.amends.aggregate import Aggregate
from domain.amends.contained import call_contained
from domain.amends.errors import Conflict, NotFound, Refusal, StaleVersion
from domain.amends.event import Cause
from workflows.amends.ports.event_store import EventStore, StoredEvent, load_event_json
from workflows.amends.ports.stream_history import StateLoader, StreamHistory
from workflows.amends.values.limits import Limits

UndoAction: TypeAlias = Literal["undo", "redo"]
PAGE = 200


@dataclass(frozen=True)
class PastDecision:
    """The events of one decision, oldest first."""

    id: str
    events: tuple[StoredEvent, ...]

    @property
    def kind(self) -> Literal["decision", "undo", "redo"]:
        metadata = self.events[0].metadata
        return "undo" if "undoes" in metadata else "redo" if "redoes" in metadata else "decision"

    @property
    def label(self) -> str:
        return ", ".join(event.name for event in self.events)


class EventStoreWithHistory(EventStore, StreamHistory, Protocol):
    """Events to be appended, and the past of their streams."""


class UndoRedo:
    """Undo and redo of decisions about aggregates."""

    def __init__(self, events: EventStoreWithHistory, loader: StateLoader, limit: int = Limits().value) -> None:
        self._events, self._loader, self._limit = events, loader, limit

    async def perform(
        self,
        action: UndoAction,
        aggregate: Aggregate[Any, Any],
        stream: str,
        version: int | None,
        cause: Cause,
        reason: str,
        request: IdempotentRequest[Any] | None = None,
    ) -> Decided[Any]:
        """Undo or redo a decision, at a version of the stream or at any.

        Raises Conflict with the reason where it cannot be done, StaleVersion if the stream has another version.
        """
        state, newest = await self._loader.load(aggregate, stream)
        if newest == 0:
            raise NotFound("stream", stream)
        if version is not None and version != newest:
            raise StaleVersion(stream, version, newest)
        await self._require_no_open_saga(action, stream)
        target = await (self._undoable if action == "undo" else self._redoable)(stream, newest)
        inverse = self._inverse(action, aggregate, state, target)
        undone, redone = (target.id, None) if action == "undo" else (None, target.id)
        marked = replace(cause, undoes=undone, redoes=redone, reason=reason)
        acting = CausedDecisions(self._events, self._loader, marked, request, self._limit)
        return await acting.append(aggregate, stream, newest, state, inverse)

    def _inverse(
        self, action: UndoAction, aggregate: Aggregate[Any, Any], state: Any, target: PastDecision
    ) -> list[Any]:
        """The inverse events of a decision, the last one's first. Raises Conflict."""
        if aggregate.inverse is None:
            raise _cannot(action, f"{aggregate.category} declares no inverses")
        inverse: list[Any] = []
        for stored in reversed(target.events):
            event = load_event_json(aggregate.vocabulary, stored.type, stored.data_json)
            try:
                back = call_contained(aggregate.inverse, state, event)
            except Refusal as refusal:
                raise _cannot(action, f"the state has moved on: {refusal}") from refusal
            if back is None:
                raise _cannot(action, f"{stored.name} has no inverse")
            inverse += aggregate.require_own_events(back)
            state = aggregate.fold(back, state)
        if not inverse:
            raise _cannot(action, f"the inverse of {target.label} has no events, so that nothing would be told of it")
        return inverse

    async def _require_no_open_saga(self, action: UndoAction, stream: str) -> None:
        if (saga := await self._events.open_saga(stream)) is not None:
            raise _cannot(action, f"saga {saga} is still open on {stream}; it may yet take its part back itself")

    async def _undoable(self, stream: str, newest: int) -> PastDecision:
        taken_back = 0
        async for decision in self._backwards(stream, newest):
            if decision.kind == "undo":
                taken_back += 1
            elif taken_back:
                taken_back -= 1
            else:
                return decision
        raise _cannot("undo", "every decision is undone already")

    async def _redoable(self, stream: str, newest: int) -> PastDecision:
        made_again = 0
        async for decision in self._backwards(stream, newest):
            if decision.kind == "decision":
                break
            if decision.kind == "redo":
                made_again += 1
            elif made_again:
                made_again -= 1
            else:
                return decision
        raise _cannot("redo", "nothing was undone since the last decision")

    async def _backwards(self, stream: str, newest: int) -> AsyncIterator[PastDecision]:
        """Decisions, newest first; events without a decision id belong together if they are of one commit."""
        before, events = newest + 1, list[StoredEvent]()
        while page := await self._events.read_back(stream, before, PAGE):
            for event in page:
                if events and _decision(event) != _decision(events[-1]):
                    yield PastDecision(_decision(events[-1]), tuple(reversed(events)))
                    events = []
                events.append(event)
            before = page[-1].version
        if events:
            yield PastDecision(_decision(events[-1]), tuple(reversed(events)))


def _decision(event: StoredEvent) -> str:
    return str(event.metadata.get("decision") or f"{event.generation}-{event.transaction_id}")


def _cannot(action: UndoAction, why: str) -> Conflict:
    return Conflict(action, f"It cannot be {'undone' if action == 'undo' else 'redone'}: {why}.")
