"""What a saga's checkpoints and its story tell the next life of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import JsonValue

from workflows.amends.history import (
    CancelLost,
    CancelRequested,
    ChildRecalled,
    ChildStarted,
    CompensationFailed,
    CompensationWaiting,
    EventLoopBlocked,
    OperatorActed,
    OperatorResumed,
    SagaCompensating,
    SagaCompleted,
    SagaEvent,
    SagaStuck,
    SagaWaiting,
    SignalReceived,
    Status,
    StepCompensated,
    StepCompleted,
    StepFailed,
    StepRefused,
    StepRetrying,
    StepSkipped,
    StepWaiting,
    WaitEnded,
)
from workflows.amends.ports.execution_log import Checkpoint, Exhausted, ProviderWait, ReplayState
from workflows.amends.values.said import one_line

BLOCKS = 2
"""How often a saga may block the event loop of its executor before a person is asked."""

OUTCOMES = (StepCompleted, StepRefused, StepFailed, StepSkipped)


FREQUENT = frozenset({StepCompleted, SagaWaiting, WaitEnded, SignalReceived})
"""What a long story consists of for the most part."""


def replay_state_of(
    checkpoints: Iterable[Checkpoint],
    told: Sequence[tuple[UUID, SagaEvent]],
    status: Status,
    redo: Mapping[tuple[str, int], int] | None = None,
    exhausted: Exhausted | None = None,
    deadline_at: datetime | None = None,
    started_at: datetime | None = None,
    recovered: bool = False,
    provider: str | None = None,
) -> ReplayState:
    """Read a saga's checkpoints and its stream, oldest first."""
    by, rare = _by_class(event for _, event in told)
    failures, acts = _tried(rare)
    blocks = _blocked(rare)
    return ReplayState(
        checkpoints={checkpoint.step_id: checkpoint for checkpoint in checkpoints},
        arguments={each.slot: each.arguments for cls in OUTCOMES for each in by[cls]},
        failures=failures,
        acts=acts,
        redo=redo or {},
        status=status,
        last_event=told[-1][0] if told else None,
        version=len(told),
        signals=_signals(by[SignalReceived]),
        waits={each.slot: each for each in by[SagaWaiting]},
        turned_back=next(iter(by[SagaCompensating]), None),
        cancel=next((each.reason for each in by[CancelRequested]), None),
        cancel_lost=bool(by[CancelLost]),
        deadline_at=deadline_at,
        started_at=started_at,
        received=frozenset(each.slot for each in by[WaitEnded] if each.by == "signal"),
        recovered=recovered,
        exhausted=blocked_too_often(blocks[-1]) if len(blocks) >= BLOCKS else exhausted,
        blocks=len(blocks),
        compensation_requested=_called_back(rare),
        children=_children(by[ChildStarted]),
        recalled=frozenset(each.child for each in by[ChildRecalled]),
        provider_waits=_provider_waits(rare),
        provider=provider,
    )


def _by_class(facts: Iterable[SagaEvent]) -> tuple[dict[type[Any], list[Any]], list[SagaEvent]]:
    """What was told, by its class, and all but the frequent in their order: a long story is gone through once."""
    by: dict[type[Any], list[Any]] = defaultdict(list)
    rare: list[SagaEvent] = []
    for event in facts:
        by[type(event)].append(event)
        if type(event) not in FREQUENT:
            rare.append(event)
    return by, rare


def _tried(facts: Iterable[SagaEvent]) -> tuple[dict[int, tuple[int, datetime | None]], dict[int, OperatorActed]]:
    """Failed attempts without an outcome, and what persons decided, by step number; an act begins a new count."""
    failures: dict[int, tuple[int, datetime | None]] = {}
    acts: dict[int, OperatorActed] = {}
    for event in facts:
        match event:
            case StepRetrying() | CompensationFailed():
                failures[event.slot] = (event.attempts, event.next_at)
            case SagaStuck() | ChildStarted():
                acts.pop(event.slot, None)
            case OperatorActed():
                acts[event.slot] = event
                failures.pop(event.slot, None)
            case _:
                continue
    return failures, acts


def _provider_waits(facts: Iterable[SagaEvent]) -> dict[int, ProviderWait]:
    """What steps and compensations wait for; an attempt that was made ends a wait, and so does a person.

    Of a wait that has ended it is kept, under no provider's name, whether something was sent.
    """
    waits: dict[int, ProviderWait] = {}
    for event in facts:
        match event:
            case StepWaiting():
                waits[event.slot] = ProviderWait(event.provider, event.since, event.sent)
            case CompensationWaiting():
                waits[event.slot] = ProviderWait(event.provider, event.since, False)
            case StepRetrying() | CompensationFailed() | OperatorActed() if event.slot in waits:
                waits[event.slot] = replace(waits[event.slot], provider="")
            case _:
                continue
    return waits


def _blocked(facts: Iterable[SagaEvent]) -> list[EventLoopBlocked]:
    """When the saga has blocked the event loop of an executor since a person looked at it."""
    blocked: list[EventLoopBlocked] = []
    for event in facts:
        if isinstance(event, EventLoopBlocked):
            blocked.append(event)
        elif isinstance(event, OperatorActed | OperatorResumed | CancelRequested):
            blocked.clear()
    return blocked


def blocked_too_often(last: EventLoopBlocked) -> Exhausted:
    """Why a saga is stuck that blocked the event loop once more."""
    where = one_line(last.stack.splitlines()[0]) if last.stack else "at an unknown place"
    reason = f"{last.step or 'run'} blocked the event loop of its executor for {last.seconds:.1f} s, {where}"
    return Exhausted(f"{reason}; it is not the first time", last.step is not None)


def _called_back(facts: Sequence[SagaEvent]) -> bool:
    """Whether the saga was to be cancelled after it had been completed: only its parent can want that."""
    completed = next((number for number, each in enumerate(facts) if isinstance(each, SagaCompleted)), len(facts))
    return any(isinstance(each, CancelRequested) for each in facts[completed:])


def _children(started: Iterable[ChildStarted]) -> dict[int, list[ChildStarted]]:
    """The sagas that were started, by the numbers of the steps that they are."""
    children: dict[int, list[ChildStarted]] = {}
    for event in started:
        children.setdefault(event.slot, []).append(event)
    return children


def _signals(received: Iterable[SignalReceived]) -> dict[str, list[JsonValue]]:
    """What the saga was told, by the signals' names."""
    signals: dict[str, list[JsonValue]] = {}
    for event in received:
        signals.setdefault(event.signal, []).append(event.payload)
    return signals


def compensated(told: Iterable[SagaEvent]) -> dict[tuple[str, int], int]:
    """How often each step, by name and occurrence, was undone: its next call needs another key."""
    counts: dict[tuple[str, int], int] = {}
    for event in told:
        if isinstance(event, StepCompensated):
            key = (event.step, event.occurrence)
            counts[key] = counts.get(key, 0) + 1
    return counts
