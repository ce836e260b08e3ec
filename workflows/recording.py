"""What a saga's checkpoints and its story tell the next life of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from pydantic import JsonValue

from workflows.ports import Checkpoint, Recording
from workflows.story import (
    CompensationFailed,
    OperatorActed,
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


def recording_of(
    checkpoints: Iterable[Checkpoint],
    told: Sequence[tuple[UUID, Told]],
    status: Status,
    redo: Mapping[tuple[str, int], int] | None = None,
    exhausted: str | None = None,
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
    last = told[-1][0] if told else None
    known = {checkpoint.slot: checkpoint for checkpoint in checkpoints}
    return Recording(known, arguments, failures, acts, redo or {}, status, last, len(told), signals, waits, exhausted)


def compensated(told: Iterable[Told]) -> dict[tuple[str, int], int]:
    """How often each step, by name and occurrence, was undone: its next call needs another key."""
    counts: dict[tuple[str, int], int] = {}
    for event in told:
        if isinstance(event, StepCompensated):
            key = (event.step, event.occurrence)
            counts[key] = counts.get(key, 0) + 1
    return counts
