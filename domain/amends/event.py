"""A fact that happened: events have a name chosen by hand, a version of their shape, and never change."""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, TypeVar, Union, dataclass_transform, get_args, get_origin

from domain.amends.errors import DefinitionError
from domain.amends.names import NAME

T = TypeVar("T")

Payload: TypeAlias = dict[str, Any]
"""An event's data as it is stored: plain JSON."""

Hop: TypeAlias = Callable[[Payload], Payload]


class EventType(NamedTuple):
    """What is stored of an event's class: renaming the class changes nothing, renaming this breaks history."""

    name: str
    version: int

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"


class Upcaster(NamedTuple):
    """One hop: turns the payload of one stored shape into that of the next one."""

    to: EventType
    change: Hop


@dataclass_transform(frozen_default=True)
def event(name: str, version: int = 1) -> Callable[[type[T]], type[T]]:
    """Declare a class as an event: a frozen dataclass stored as `name`, in the shape `version`.

    Whoever changes the shape raises the version and adds an upcaster for the old one below the class.
    """
    if isinstance(name, type):
        raise DefinitionError(f"event {name.__name__}", "is given a name to be stored by: @event('order-placed')")
    if not NAME.fullmatch(name):
        raise DefinitionError(f"event {name!r}", "a name is lower-case words joined by hyphens, such as 'order-placed'")
    if not isinstance(version, int) or version < 1:
        raise DefinitionError(f"event {name!r}", f"versions count from 1, not {version!r}")

    def declare(cls: type[T]) -> type[T]:
        made = frozen_dataclass(cls, f"event {name!r}")
        made.__event__ = EventType(name, version)  # type: ignore[attr-defined]
        made.__upcasters__ = {}  # type: ignore[attr-defined]
        return made

    return declare


def frozen_dataclass(cls: type[T], what: str) -> type[T]:
    """A class as a frozen dataclass; one that is declared as such already stays as it is. Raises DefinitionError."""
    if "__dataclass_params__" in vars(cls):
        if not vars(cls)["__dataclass_params__"].frozen:
            raise DefinitionError(what, f"remove @dataclass from {cls.__qualname__}: it is made a frozen one by itself")
        return cls
    try:
        return dataclass(frozen=True)(cls)
    except (TypeError, ValueError) as error:
        raise DefinitionError(what, f"{error}") from None


def event_type(event: object) -> EventType:
    """The stored name and version of an event or of its class."""
    cls = event if isinstance(event, type) else type(event)
    declared: EventType | None = vars(cls).get("__event__")  # a subclass is another event, or none
    if declared is None:
        shown = f"{cls.__module__}.{cls.__qualname__}" if cls is event else repr(event)
        raise DefinitionError(shown, "is not an event: decorate its class with @event(name, version)")
    return declared


def declared_events(annotation: Any) -> tuple[type[Any], ...]:
    """The event classes that an annotation names: those of a union, and all below a class that is no event itself."""
    parts = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    return tuple(cls for part in parts for cls in (_below(part) or (part,)))


def _below(cls: Any) -> tuple[type[Any], ...]:
    if not isinstance(cls, type):
        return ()
    if "__event__" in vars(cls):
        return (cls,)
    subclasses: list[type[Any]] = type.__subclasses__(cls)
    found = (event for below in subclasses for event in _below(below))
    return tuple(dict.fromkeys(found))  # one that is below two of them is found twice


def upcasts(
    cls: type[object], version: int, name: str | None = None, to: tuple[str, int] | None = None
) -> Callable[[Hop], Hop]:
    """Declare how a payload of an older version becomes one of the next version.

    One hop per function (after pyeventsourcing): `@upcasts(OrderPlaced, 1)` makes version 2 of version 1. An event that
    had another name then says it: `@upcasts(OrderPlaced, 3, name="order-opened", to=("order-placed", 1))`. The function
    is given plain JSON data that it may not change, and returns new data.
    """
    current = event_type(cls)
    old = EventType(name or current.name, version)
    new = EventType(*to) if to else EventType(old.name, version + 1)

    def declare(change: Hop) -> Hop:
        known = upcasters(cls)
        if old in known:
            raise DefinitionError(
                f"upcaster of {old}", f"there are two, {known[old].change.__name__} and {change.__name__}"
            )
        if old == current or version < 1:
            raise DefinitionError(f"upcaster of {old}", f"is not of an older version: {cls.__name__} is {current}")
        known[old] = Upcaster(new, change)
        return change

    return declare


def upcasters(cls: type[object]) -> dict[EventType, Upcaster]:
    """The hops that were declared for an event's class, by what they start from."""
    event_type(cls)
    declared: dict[EventType, Upcaster] = vars(cls)["__upcasters__"]
    return declared


@dataclass(frozen=True)
class Cause:
    """Who and what an event goes back to; it travels from the request through the saga into every event.

    `decision` names what was decided at once: it is the unit of undo. `undoes` and `redoes` name a decision that this
    one takes back or makes again, and `reason` says why a person did so.
    """

    correlation_id: str | None = None
    causation_id: str | None = None
    actor: str = "anonymous"
    workflow_id: str | None = None
    step: str | None = None
    traceparent: str | None = None
    executor: str | None = None
    decision: str | None = None
    undoes: str | None = None
    redoes: str | None = None
    reason: str | None = None

    def metadata(self) -> dict[str, str]:
        """What is stored of it."""
        return {name: value for name, value in vars(self).items() if value is not None}
