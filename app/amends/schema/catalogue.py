"""The catalogue of everything that a project declares, found in the files of `domain/` and `workflows/`."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from app.amends.output.code_errors import team_code
from domain.amends.aggregate import Aggregate
from domain.amends.errors import DefinitionError, NotFound
from domain.amends.event import event_type
from domain.amends.projection import Projection
from domain.amends.stream import OWN
from domain.amends.vocabulary import Vocabulary
from workflows.amends.history import saga_histories
from workflows.amends.saga import Saga
from workflows.amends.values.codec import require_json

OURS = ("domain.amends.read_model.events", "workflows.amends.brakes.events", "workflows.amends.history")
"""Modules with events and read models of Amends itself."""
PROJECT = ("domain", "workflows")
"""Packages with those of a project."""


@dataclass(frozen=True)
class DomainCatalogue:
    """All aggregates by category, all event classes, and all read models by name and version."""

    aggregates: dict[str, Aggregate[Any, Any]]
    vocabulary: Vocabulary[Any]
    projections: dict[tuple[str, int], Projection[Any, Any]]

    @cached_property
    def events(self) -> dict[str, type[Any]]:
        """Event classes by the name that is stored."""
        return {event_type(cls).name: cls for cls in self.vocabulary}

    def aggregate(self, stream: str) -> Aggregate[Any, Any]:
        """The aggregate of a stream: the one with the longest category that fits. Raises NotFound."""
        fitting = [found for found in self.aggregates.values() if found.key(stream)]
        if not fitting:
            known = ", ".join(f"{category}-…" for category in sorted(self.aggregates))
            raise NotFound("aggregate", stream, f"There are: {known}.")
        return max(fitting, key=lambda found: len(found.category))


def load_catalogue(packages: Iterable[str] = (*OURS, *PROJECT)) -> DomainCatalogue:
    """The catalogue of some packages, without the folders named `amends` in them.

    Found is what a module there has under a name of its own, imported from elsewhere or not. Raises StartupError for a
    file that cannot be imported, and DefinitionError for names that are declared twice, for categories of which a
    stream could be either, for gaps and cycles of upcasters, and for types that JSON does not keep.
    """
    modules = _modules(packages)
    aggregates: dict[str, Aggregate[Any, Any]] = {}
    for found in _of(modules, Aggregate):
        if aggregates.setdefault(found.category, found) is not found:
            both = _places(modules, aggregates[found.category], found)
            raise DefinitionError(
                f"aggregate {found.category!r}", f"is declared twice, as {both}: give one of them another category"
            )
    require_distinct_categories(aggregates)
    projections: dict[tuple[str, int], Projection[Any, Any]] = {}
    for each in _of(modules, Projection):
        if projections.setdefault((each.name, each.version), each) is not each:
            both = _places(modules, projections[each.name, each.version], each)
            raise DefinitionError(
                f"projection {each.name!r}",
                f"its version {each.version} is declared twice, as {both}: give one of them another name",
            )
        require_json(each.row, f"projection {each.name!r}, row")
    classes = {cls: None for cls in _of(modules, type) if "__event__" in vars(cls)}
    vocabularies = [each.vocabulary for each in (*_of(modules, Aggregate), *_of(modules, Projection))]
    classes |= {cls: None for each in vocabularies for cls in each}
    vocabulary: Vocabulary[Any] = Vocabulary(tuple(sorted(classes, key=lambda cls: event_type(cls).name)))
    vocabulary.require_sound()
    for cls in vocabulary:
        require_json(cls, f"event {event_type(cls).name!r}")
    return DomainCatalogue(aggregates, vocabulary, projections)


def declared_sagas(package: str) -> Iterator[type[Saga[Any, Any]]]:
    """The sagas that the modules of a package declare, without the folder named `amends` in it."""
    for module in _modules([package]):
        for found in _of([module], type):
            if issubclass(found, Saga) and "definition" in vars(found) and found.__module__ == module.__name__:
                yield found


def require_distinct_categories(categories: Iterable[str]) -> None:
    """Raise DefinitionError if a stream could be of two categories: `order-line-1` of `order` and of `order-line`."""
    known = [*categories, *(own.removesuffix("-") for own in OWN if own != f"{saga_histories.category}-")]
    for one in known:
        for other in known:
            if other.startswith(f"{one}-"):
                raise DefinitionError(
                    f"aggregate {other!r}",
                    f"its streams could be those of {one!r} too: give one of them another category",
                )
    if len(set(known)) < len(known):
        raise DefinitionError("aggregate 'projection'", "is a category of Amends' own: give it another one")


def _imported(name: str) -> ModuleType:
    with team_code():
        return importlib.import_module(name)


def _names(package: str) -> Iterator[str]:
    """The names of a module and, if it is a package, of all modules in it, also in folders without an `__init__.py`."""
    module = _imported(package)
    yield package
    for path in getattr(module, "__path__", ()):
        for found in sorted(Path(path).iterdir()):
            name = f"{package}.{found.stem}"
            if found.name == "amends" or not found.stem.isidentifier() or found.stem.startswith("__"):
                continue
            if found.suffix == ".py":
                yield name
            elif found.is_dir() and any(found.glob("**/*.py")):
                yield from _names(name)


def _modules(packages: Iterable[str]) -> list[ModuleType]:
    names = (name for package in packages for name in _names(package))
    return [_imported(name) for name in dict.fromkeys(names)]  # a ring may stand in several folders


def _places(modules: Iterable[ModuleType], *declared: Any) -> str:
    """Where two things are declared: in the module of their `evolve`, if they have a name there."""
    return " and ".join(_place(modules, each) for each in declared)


def _place(modules: Iterable[ModuleType], declared: Any) -> str:
    found = {
        module.__name__: f"{module.__name__}.{name}"
        for module in modules
        for name, value in vars(module).items()
        if value is declared
    }
    return found.get(declared.evolve.__module__) or next(iter(found.values()))


def _of(modules: Iterable[Any], kind: type[Any]) -> Iterable[Any]:
    return (value for module in modules for value in list(vars(module).values()) if isinstance(value, kind))
