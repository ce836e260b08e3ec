"""What a saga's checkpoints and its story tell the next life of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
from workflows.amends.values.said import one_line


@dataclass(frozen=True)
class Checkpoint:
    """A step's row as DBOS keeps it: what came out, as JSON text, under the step's number."""

    step_id: int
    name: str
    output: str | None
    error: str | None
    started_at: datetime
    completed_at: datetime


@dataclass(frozen=True)
class Exhausted:
    """Why a saga may not be tried again by itself: a person is asked where it goes on.

    `runs` says that `run` itself may be run up to there; else a person is asked before it.
    """

    reason: str
    runs: bool = True


@dataclass(frozen=True)
class ProviderWait:
    """What a step or a compensation waits for, since when, and whether it may have taken effect all the same."""

    provider: str
    since: datetime
    sent: bool


@dataclass(frozen=True)
class ReplayState:
    """What earlier lives of a saga have recorded; empty in its first life.

    By step number: `arguments` are the digests, `failures` the failed attempts of a step without an outcome and
    when the next one is due, `provider_waits` which provider it waits for, `acts` what a person decided last,
    `waits` what the saga began to wait for, `received` which of them a signal ended. `redo` says how often a step
    was compensated in the family of forks. `version` is that of the saga's stream, `signals` what it was told, by
    name and oldest first. `turned_back` is told once it did, `cancel` why somebody wants it to, `cancel_lost` that
    this came too late. `recovered` says that a life before this one may have ended in the middle of a step,
    `exhausted` why the next step may not be tried again by itself, if so, and `blocks` how often the saga has
    blocked an event loop since a person looked at it. `compensation_requested` says that its parent wants it undone
    after it was completed, `children` are the sagas that were started for a step, oldest first, `recalled` those of
    them whose compensation was asked for.
    """

    checkpoints: Mapping[int, Checkpoint] = field(default_factory=dict)
    arguments: Mapping[int, str] = field(default_factory=dict)
    failures: Mapping[int, tuple[int, datetime | None]] = field(default_factory=dict)
    acts: Mapping[int, OperatorActed] = field(default_factory=dict)
    redo: Mapping[tuple[str, int], int] = field(default_factory=dict)
    status: Status = "running"
    last_event: UUID | None = None
    version: int = 1
    signals: Mapping[str, Sequence[JsonValue]] = field(default_factory=dict)
    waits: Mapping[int, SagaWaiting] = field(default_factory=dict)
    turned_back: SagaCompensating | None = None
    cancel: str | None = None
    cancel_lost: bool = False
    deadline_at: datetime | None = None
    started_at: datetime | None = None
    received: frozenset[int] = frozenset()
    recovered: bool = False
    exhausted: Exhausted | None = None
    blocks: int = 0
    compensation_requested: bool = False
    children: Mapping[int, Sequence[ChildStarted]] = field(default_factory=dict)
    recalled: frozenset[str] = frozenset()
    provider_waits: Mapping[int, ProviderWait] = field(default_factory=dict)
    provider: str | None = None
    """The provider that the saga's row says it waits for, until the next status says otherwise."""


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
