"""A fact that happened: events have a name chosen by hand, a version, and never change."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar, dataclass_transform
from uuid import UUID

from domain.errors import Misdeclared

T = TypeVar("T")
E = TypeVar("E", covariant=True)

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True)
class EventType:
    """What is stored of an event's class: renaming the class changes nothing, renaming this breaks history."""

    name: str
    version: int


@dataclass_transform(frozen_default=True)
def event(name: str, version: int = 1) -> Callable[[type[T]], type[T]]:
    """Declare a class as an event: a frozen dataclass stored as `name`, in the shape `version`."""
    if not NAME.fullmatch(name):
        raise Misdeclared(f"event {name!r}", "a name is lower-case words joined by hyphens, such as 'order-placed'")
    if version < 1:
        raise Misdeclared(f"event {name!r}", f"versions count from 1, not {version}")

    def declare(cls: type[T]) -> type[T]:
        made = dataclass(frozen=True)(cls)
        made.__event__ = EventType(name, version)  # type: ignore[attr-defined]
        return made

    return declare


def event_type(event: object) -> EventType:
    """The stored name and version of an event or of its class."""
    declared: EventType | None = getattr(event, "__event__", None)
    if declared is None:
        raise Misdeclared(repr(event), "is not an event: decorate its class with @event(name, version)")
    return declared


@dataclass(frozen=True)
class Cause:
    """Who and what an event goes back to; it travels from the request through the saga into every event."""

    correlation_id: str | None = None
    causation_id: str | None = None
    actor: str = "anonymous"
    workflow_id: str | None = None
    step: str | None = None
    traceparent: str | None = None
    executor: str | None = None


@dataclass(frozen=True)
class RecordedEvent(Generic[E]):
    """An event as it stands in the store.

    `position` names it; it is not the order of the feed (docs/event-store.md). `version` counts from 1 in its stream.
    """

    position: int
    id: UUID
    stream: str
    version: int
    type: EventType
    event: E
    cause: Cause
    recorded_at: datetime
    transaction_id: int = field(default=0, compare=False)
