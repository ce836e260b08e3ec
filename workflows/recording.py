"""What a saga's checkpoints and its story tell the next life of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from pydantic import JsonValue

from workflows.ports import Checkpoint, Recording
from workflows.story import (
    CancelLost,
    CancelRequested,
    CompensationFailed,
    OperatorActed,
    SagaCompensating,
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
    Told,
)

T = TypeVar("T")


def recording_of(
    checkpoints: Iterable[Checkpoint],
    told: Sequence[tuple[UUID, Told]],
    status: Status,
    redo: Mapping[tuple[str, int], int] | None = None,
    exhausted: str | None = None,
    deadline_at: datetime | None = None,
    recovered: bool = False,
) -> Recording:
    """Read a saga's checkpoints and its stream, oldest first."""
    arguments: dict[int, str] = {}
    failures: dict[int, tuple[int, datetime | None]] = {}
    acts: dict[int, OperatorActed] = {}
    signals: dict[str, list[JsonValue]] = {}
    waits: dict[int, SagaWaiting] = {}
    for _, event in told:
        match event:
            case StepCompleted() | StepRefused() | StepFailed() | StepSkipped():
                arguments[event.slot] = event.arguments
            case StepRetrying() | CompensationFailed():
                failures[event.slot] = (event.attempts, event.next_at)
            case SagaStuck():
                acts.pop(event.slot, None)
            case OperatorActed():
                acts[event.slot] = event
                failures.pop(event.slot, None)
            case SignalReceived():
                signals.setdefault(event.signal, []).append(event.payload)
            case SagaWaiting():
                waits[event.slot] = event
            case _:
                continue
    return Recording(
        checkpoints={checkpoint.slot: checkpoint for checkpoint in checkpoints},
        arguments=arguments,
        failures=failures,
        acts=acts,
        redo=redo or {},
        status=status,
        last_event=told[-1][0] if told else None,
        version=len(told),
        signals=signals,
        waits=waits,
        turned_back=_last(told, SagaCompensating),
        cancel=_reason(told),
        cancel_lost=_last(told, CancelLost) is not None,
        deadline_at=deadline_at,
        recovered=recovered,
        exhausted=exhausted,
    )


def _last(told: Sequence[tuple[UUID, Told]], cls: type[T]) -> T | None:
    return next((event for _, event in reversed(told) if isinstance(event, cls)), None)


def _reason(told: Sequence[tuple[UUID, Told]]) -> str | None:
    """Why somebody wants the saga cancelled; the first wish counts."""
    return next((event.reason for _, event in told if isinstance(event, CancelRequested)), None)


def compensated(told: Iterable[Told]) -> dict[tuple[str, int], int]:
    """How often each step, by name and occurrence, was undone: its next call needs another key."""
    counts: dict[tuple[str, int], int] = {}
    for event in told:
        if isinstance(event, StepCompensated):
            key = (event.step, event.occurrence)
            counts[key] = counts.get(key, 0) + 1
    return counts
