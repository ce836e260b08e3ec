"""A thing with a history: its state is what its events add up to, and a decision turns state into new events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property, reduce
from inspect import iscoroutinefunction, signature
from typing import Generic, TypeVar, get_type_hints

from domain.amends.contained import call_contained
from domain.amends.errors import DefinitionError, Invalid
from domain.amends.event import declared_events, event_type
from domain.amends.names import NAME
from domain.amends.stream import require_stream
from domain.amends.vocabulary import Vocabulary

S = TypeVar("S")
E = TypeVar("E")


@dataclass(frozen=True)
class Aggregate(Generic[S, E]):
    """The streams of one category, the state before the first event, and how one event changes the state.

    A decision is a function `(state, …) -> events`: it returns nothing when things are already so, and
    raises a Refusal when the business says no (after Equinox, github.com/jet/equinox).

    `inverse`, where the business has one, is the decision that takes one event back: `(state, event) -> events`. It
    returns None for an event that is never taken back, and raises a Refusal where the state does not allow it any more.
    It also knows the inverses of the events that it returns: that is what redo is.

    `evolve` names its events by an annotation: a class, a union of classes, or a class that is no event itself and
    stands for all events that are declared below it.

    Raises DefinitionError for what cannot work.

    `folding`, for a state that is dear to change one event at a time, does what `evolve` does for several in turn.
    """

    category: str
    initial: S
    evolve: Callable[[S, E], S]
    inverse: Callable[[S, E], Sequence[E] | None] | None = None
    folding: Callable[[S, Iterable[E]], S] | None = None

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.category):
            raise DefinitionError(f"aggregate {self.category!r}", "a category is lower-case words joined by hyphens")
        for event in self.event_classes:
            event_type(event)
        state = self.state_type
        if type(state) is type and not isinstance(self.initial, state):
            raise DefinitionError(
                f"aggregate {self.category!r}",
                f"its initial state is {self.initial!r}, and evolve returns {state.__name__}",
            )

    def stream(self, key: str) -> str:
        """The name of one instance's stream, such as `order-4711`. Raises Invalid for a key that cannot be in one."""
        if not isinstance(key, str) or not key.strip():
            raise Invalid(f"{self.category} id", "must be a text that is not empty")
        stream = f"{self.category}-{key}"
        require_stream(stream, f"{self.category} id")
        return stream

    def key(self, stream: str) -> str | None:
        """The key of the instance whose stream this is; None if it is none of this category."""
        key = stream.removeprefix(f"{self.category}-")
        return key if key != stream and key.strip() else None

    def require_own_events(self, decided: Iterable[E]) -> list[E]:
        """The events, if `evolve` understands them all: others could be stored, but the stream not be read again.

        Raises DefinitionError, also for a decision that returns none as None, or one that is not in a list.
        """
        if decided is None or type(decided) in self.vocabulary.classes:
            raise DefinitionError(
                f"aggregate {self.category!r}",
                f"a decision returns a list of events, also of one or none, not {type(decided).__name__}",
            )
        events = list(decided)
        for event in events:
            if type(event) not in self.vocabulary.classes:
                raise DefinitionError(
                    f"aggregate {self.category!r}", f"its evolve does not take {type(event).__name__}"
                )
        return events

    def initial_state(self) -> S:
        """The state before the first event: a new one each time, for an `evolve` that changes what it is given."""
        return deepcopy(self.initial)

    def fold(self, events: Iterable[E], state: S | None = None) -> S:
        """The state after these events, from `state` on, else from the initial one.

        Raises what `evolve` raises, and NonExceptionRaised for what is no Exception.
        """
        before = self.initial_state() if state is None else state
        if self.folding is not None:
            return call_contained(self.folding, before, events)
        return call_contained(reduce, self.evolve, events, before)

    @property
    def event_classes(self) -> tuple[type[E], ...]:
        """The events that `evolve` names, declared by now; `vocabulary` keeps those of its first reading."""
        return _event_classes(self.evolve, self.category)

    @cached_property
    def vocabulary(self) -> Vocabulary[E]:
        """The events that `evolve` understands."""
        return Vocabulary(self.event_classes)

    @cached_property
    def state_type(self) -> object:
        """The annotation of the state, as `evolve` returns it."""
        return get_type_hints(self.evolve, include_extras=True)["return"]


def _event_classes(evolve: Callable[[S, E], S], category: str) -> tuple[type[E], ...]:
    """Read from the annotation of `evolve`'s second parameter: see `declared_events`."""
    what = f"aggregate {category!r}, {getattr(evolve, '__name__', 'evolve')}"
    if iscoroutinefunction(evolve):
        raise DefinitionError(what, "is a plain function, not an async one")
    hints, names = get_type_hints(evolve), list(signature(evolve).parameters)
    if len(names) != 2 or names[1] not in hints or "return" not in hints:
        raise DefinitionError(what, "takes (state, event) and annotates both and its result")
    if hints["return"] is type(None):
        raise DefinitionError(what, "returns the state after the event, and is annotated with None")
    return declared_events(hints[names[1]])
