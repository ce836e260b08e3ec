"""The events that some code understands, in every shape that they ever had."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

from domain.amends.contained import NonExceptionRaised, call_contained
from domain.amends.errors import AmendsError, DefinitionError
from domain.amends.event import EventType, Hop, Payload, event_type, upcasters

E = TypeVar("E")


class Unreadable(AmendsError):
    """An event is stored as {name} version {version}, which this code cannot read: {problem}."""

    name: str
    version: int
    problem: str


class UnknownEvent(Unreadable):
    """An event is stored as {name} version {version}, but no code here knows that name: {problem}."""


class NewerEvent(Unreadable):
    """An event is stored as {name} version {version}, written by newer code than this: {problem}."""


@dataclass(frozen=True)
class Vocabulary(Generic[E]):
    """Event classes, each the newest shape of its event."""

    classes: tuple[type[E], ...]

    def __iter__(self) -> Iterator[type[E]]:
        return iter(self.classes)

    @property
    def stored_types(self) -> Iterable[EventType]:
        """Every name and version under which these events may be stored."""
        return self._paths.keys()

    @cached_property
    def names(self) -> frozenset[str]:
        """Every name under which these events may be stored: what is read, waited for and counted by name is this."""
        return frozenset(type.name for type in self.stored_types)

    @cached_property
    def names_of_renamed_events(self) -> tuple[frozenset[str], ...]:
        """The names of each event that has had several."""
        names = (frozenset({event_type(cls).name, *(old.name for old in upcasters(cls))}) for cls in self.classes)
        return tuple(each for each in names if len(each) > 1)

    @cached_property
    def class_by_name(self) -> Mapping[str, type[E]]:
        """The class of the events that are stored under a name, also under one that they had before."""
        return {type.name: cls for type, (cls, _) in self._paths.items()}

    def current_class(self, stored: EventType) -> type[E] | None:
        """The class of a stored event whose shape is today's; None for all others."""
        path = self._paths.get(stored)
        return path[0] if path and not path[1] else None

    def upcast(self, stored: EventType, data: Payload) -> tuple[type[E], Payload]:
        """The class of a stored event, and its data in that class's shape, one hop after the other.

        Raises NewerEvent for a version that this code does not know yet, UnknownEvent for a name that it does not, and
        Unreadable for a hop that fails. The message leaves out what the hop raised: it may hold values of the event.
        """
        path = self._paths.get(stored)
        if path is None:
            raise self._unreadable(stored)
        cls, hops = path
        for hop in hops:
            try:
                data = call_contained(hop, data)
            except Exception as error:
                failed = type(error.__cause__ if isinstance(error, NonExceptionRaised) else error).__name__
                raise Unreadable(*stored, f"its upcaster {_name(hop)} failed with {failed}") from error
        return cls, data

    def require_sound(self) -> None:
        """Raise DefinitionError unless every older shape leads to one class of today: for gaps, cycles and doubles."""
        names: dict[str, type[E]] = {}
        for cls in self.classes:
            name = event_type(cls).name
            if name in names:
                both = " and ".join(f"{each.__module__}.{each.__qualname__}" for each in (names[name], cls))
                raise DefinitionError(f"event {name!r}", f"has two classes, {both}: give one of them another name")
            names[name] = cls
        for cls in self.classes:
            _require_no_gap(cls)
            for old in upcasters(cls):
                _hops(cls, old)
                if names.setdefault(old.name, cls) is not cls:
                    raise DefinitionError(
                        f"event {old.name!r}",
                        f"is an older name of {cls.__name__}, and {names[old.name].__name__} has it too: what is "
                        "stored by it could be either; give the newer one a name of its own",
                    )

    @cached_property
    def _paths(self) -> dict[EventType, tuple[type[E], tuple[Hop, ...]]]:
        today: dict[EventType, tuple[type[E], tuple[Hop, ...]]] = {event_type(cls): (cls, ()) for cls in self.classes}
        return today | {old: (cls, _hops(cls, old)) for cls in self.classes for old in upcasters(cls)}

    def _unreadable(self, stored: EventType) -> Unreadable:
        known = [version for name, version in self._paths if name == stored.name]
        if not known:
            return UnknownEvent(*stored, "was its class removed or renamed in @event(…)?")
        if stored.version > max(known):
            return NewerEvent(*stored, f"the newest version known here is {max(known)}; run the newer code")
        return Unreadable(*stored, "its upcaster is missing")


def _name(hop: Hop) -> str:
    return getattr(hop, "__name__", repr(hop))


def _require_no_gap(cls: type[object]) -> None:
    """Every version of every name that leads to the class has its hop."""
    current, known = event_type(cls), upcasters(cls)
    newest = {current.name: current.version - 1}
    for name, version in known:
        newest[name] = max(version, newest.get(name, 0))
    for name, last in newest.items():
        for version in range(1, last + 1):
            if EventType(name, version) not in known:
                raise DefinitionError(
                    f"event {current}",
                    f"no upcaster starts from {name} version {version}: add @upcasts({cls.__name__}, {version})",
                )


def _hops(cls: type[object], old: EventType) -> tuple[Hop, ...]:
    current, known = event_type(cls), upcasters(cls)
    hops: list[Hop] = []
    seen, at = {old}, old
    while at != current:
        if at not in known:
            raise DefinitionError(f"event {current}", f"the upcaster to {at} leads nowhere: nothing starts from there")
        at, change = known[at]
        hops.append(change)
        if at in seen:
            raise DefinitionError(f"event {current}", f"its upcasters go round in a cycle at {at}")
        seen.add(at)
    return tuple(hops)
