"""The shapes of everything that the code stores and shows: events, inputs and results of sagas, states, and rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from inspect import Parameter
from typing import Any, Literal, NamedTuple, TypeAlias, get_type_hints

from app.amends.schema.catalogue import DomainCatalogue
from domain.amends.errors import AmendsError, Refusal
from domain.amends.event import event_type, upcasters
from domain.amends.sensitive import KEYWORD, marks_within
from workflows.amends.definition import DeclaredStep, Definition
from workflows.amends.redaction.shapes import Shape, shape_of
from workflows.amends.values.codec import digest
from workflows.amends.values.refusals import all_refusals

Kind: TypeAlias = Literal[
    "event", "input", "output", "argument", "result", "signal", "refusal", "error", "state", "row"
]


class ShapeKey(NamedTuple):
    """The key of a shape: of an event, a step's result, …; `version` is the event's, the saga's or the read model's.

    Names that belong to a saga begin with its name: `place-order.charge_card`. A refusal has its class as a version,
    for a name may stand for several, and a state always 1.
    """

    kind: Kind
    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name} version {self.version}"

    @property
    def as_text(self) -> str:
        """The key as it is written in commands."""
        return f"{self.kind}:{self.name}:{self.version}"


@dataclass(frozen=True)
class KnownShape:
    """A known shape; `before` are names under which an event was stored earlier."""

    key: ShapeKey
    shape: Shape
    before: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """A digest, the same for equal shapes."""
        return digest([*self.key, self.shape, sorted(self.before)])


def declared_shapes(
    catalogue: DomainCatalogue,
    definitions: Iterable[Definition],
    within: Collection[str] = ("domain", "workflows", "app"),
) -> Iterator[KnownShape]:
    """The shapes that events, aggregates, read models and sagas declare, and the refusals of modules `within` these
    packages."""
    yield from catalogue_shapes(catalogue)
    for definition in definitions:
        yield from saga_shapes(definition)
    for cls in all_refusals():
        if cls.__module__.startswith(tuple(f"{package}." for package in within)):
            yield refusal_shapes(cls)


def loaded_shapes(catalogue: DomainCatalogue, definitions: Iterable[Definition]) -> Iterator[KnownShape]:
    """The same with all errors and refusals that were imported, whoever declares them."""
    yield from catalogue_shapes(catalogue)
    for definition in definitions:
        yield from saga_shapes(definition)
    yield from (refusal_shapes(cls) for cls in all_refusals())
    yield from error_shapes()


def catalogue_shapes(catalogue: DomainCatalogue) -> Iterator[KnownShape]:
    """Events, states and rows."""
    for cls in catalogue.vocabulary:
        name, version = event_type(cls)
        before = sorted({old.name for old in upcasters(cls)} - {name})
        yield KnownShape(ShapeKey("event", name, str(version)), shape_of(cls), tuple(before))
    for category, aggregate in catalogue.aggregates.items():
        yield KnownShape(ShapeKey("state", category, "1"), shape_of(aggregate.state_type))
    for (name, version), projection in catalogue.projections.items():
        yield KnownShape(ShapeKey("row", name, str(version)), shape_of(projection.row))


def saga_shapes(definition: Definition) -> Iterator[KnownShape]:
    """The input, output, signals, arguments and results of a saga."""
    name, version = definition.name, str(definition.version)
    yield KnownShape(ShapeKey("input", name, version), shape_of(definition.input))
    yield KnownShape(ShapeKey("output", name, version), shape_of(definition.output))
    for signal, payload in definition.signals.items():
        yield KnownShape(ShapeKey("signal", f"{name}.{signal}", version), shape_of(payload))
    for step, each in definition.steps.items():
        yield KnownShape(ShapeKey("argument", f"{name}.{step}", version), arguments_shape(each))
        yield KnownShape(ShapeKey("result", f"{name}.{step}", version), shape_of(each.result))


def arguments_shape(declared: DeclaredStep) -> Shape:
    """The shape of a step's arguments; those with defaults need not be there."""
    shape = shape_of(declared.arguments_type)
    empty = Parameter.empty
    needed = sum(declared.signature.parameters[name].default is empty for name in declared.parameters)
    return shape if needed == len(declared.parameters) else shape | {"minItems": needed}


def refusal_shapes(cls: type[Refusal]) -> KnownShape:
    """The facts of a refusal."""
    return KnownShape(ShapeKey("refusal", cls.name, f"{cls.__module__}.{cls.__qualname__}"), shape_of(cls))


def error_shapes() -> Iterator[KnownShape]:
    """The facts of all other errors of Amends: they are stored as far as they can be, and known by the names of their
    classes."""
    for cls in _errors(AmendsError):
        if not issubclass(cls, Refusal):
            hints: dict[str, Any] = get_type_hints(cls, include_extras=True)
            facts = {each.name: _fact(hints[each.name]) for each in fields(cls)}  # type: ignore[arg-type]
            known: Shape = {"type": "object", "properties": facts}
            yield KnownShape(ShapeKey("error", cls.__name__, f"{cls.__module__}.{cls.__qualname__}"), known)


def _fact(annotation: Any) -> Shape:
    mark = next(iter(marks_within(annotation)), None)
    return {KEYWORD: mark.kind} if mark else {}


def _errors(cls: type[AmendsError]) -> Iterator[type[AmendsError]]:
    for each in cls.__subclasses__():
        yield each
        yield from _errors(each)
