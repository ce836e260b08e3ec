"""The history of a saga: the events of its stream, and the state that they add up to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from domain.amends.aggregate import Aggregate
from workflows.amends.history.saga_event import SagaEvent
from workflows.amends.history.state import SagaState, StateFold


def evolve(state: SagaState, event: SagaEvent) -> SagaState:
    return fold(state, (event,))


def fold(state: SagaState, events: Iterable[SagaEvent]) -> SagaState:
    """The state after several events."""
    folding = StateFold(state)
    for event in events:
        event.apply_to_state(folding, None)
    return folding.state()


saga_histories: Aggregate[SagaState, SagaEvent] = Aggregate("saga", initial=SagaState(), evolve=evolve, folding=fold)


def state_of(recorded: Iterable[tuple[datetime, SagaEvent]]) -> SagaState:
    """The state that a saga's events add up to, oldest first, each with when it was recorded."""
    folding = StateFold()
    for at, event in recorded:
        event.apply_to_state(folding, at)
    return folding.state()


def saga_event(name: str) -> type[SagaEvent]:
    """The class of the events that are stored under a name; SagaEvent itself for one that this code does not know."""
    return saga_histories.vocabulary.class_by_name.get(name, SagaEvent)
