"""Which classes of refusals there are, and which one a name stands for: a refusal caught after a crash is the same."""

from __future__ import annotations

import sys
from collections import Counter
from types import ModuleType
from typing import TypeGuard

from domain.amends.errors import DefinitionError, Refusal
from workflows.amends.values.codec import require_json


def is_refusal(error: BaseException | None) -> TypeGuard[Refusal]:
    """Whether an error is a refusal, as `except` sees it: some objects lie about their class to isinstance."""
    return issubclass(type(error), Refusal)


def refusal_class(name: str, *modules: str) -> type[Refusal] | None:
    """The class of the refusals that are stored under a name, for sagas of these modules, the first that knows one.

    A name may stand for several classes, as of a saga's older version and its newer one: a module knows those that it
    declares, else those that it imports, and else those that other versions of its saga know, the newest first. What no
    module of any saga knows is another one's, such as a gateway's. Returns None if there is none, or no telling which.
    """
    found = refusal_classes(name)
    for module in (each for given in modules for each in (given, *_other_versions(given))):
        if near := _near(module, found):
            return near[-1] if _one(near) else None
    free = [cls for cls in found if not any(_knows(module, cls) for module in _saga_modules)] or found
    return free[-1] if free and _one(free) else None


def refusal_classes(name: str) -> list[type[Refusal]]:
    """All classes of refusals with this name."""
    return [found for found in all_refusals() if found.name == name]


def all_refusals() -> list[type[Refusal]]:
    """All classes of refusals that were imported."""
    return _refusals(Refusal)


def note_saga_module(module: str, saga: str, version: int) -> None:
    """A version of a saga is declared in this module: the refusals that it knows are that saga's."""
    _saga_modules.setdefault(module, {})[saga] = version


def require_distinct_refusals() -> None:
    """Raise DefinitionError where a name stands for several refusals, and no saga's file says which one it means.

    So it does for a refusal that a saga's file knows and whose facts would not come back as they were.
    """
    every = all_refusals()
    known = [cls for cls in every if any(_knows(module, cls) for module in _saga_modules)]
    for cls in known:
        require_json(cls, f"refusal {cls.name!r}")
    counts = Counter(cls.name for cls in every)
    for name in sorted(name for name, count in counts.items() if count > 1):
        found = [cls for cls in every if cls.name == name]
        free = [cls for cls in found if cls not in known]
        for classes in (free, *(_near(module, found) for module in sorted(_saga_modules))):
            if not _one(classes):
                where = " and ".join(sorted({f"{cls.__module__}.{cls.__qualname__}" for cls in classes}))
                problem = f"is declared by {where}: give one another name, or import it where the saga is that means it"
                raise DefinitionError(f"refusal {name!r}", problem)


_saga_modules: dict[str, dict[str, int]] = {}
"""By module, the sagas that are declared there, with their versions."""


def _other_versions(module: str) -> list[str]:
    """The modules of other versions of the sagas of a module, the newest first."""
    mine = _saga_modules.get(module, {}).keys()
    others = [
        (version, other)
        for other, sagas in _saga_modules.items()
        for saga, version in sagas.items()
        if saga in mine and other != module
    ]
    return [other for _, other in sorted(others, reverse=True)]


def _near(module: str, classes: list[type[Refusal]]) -> list[type[Refusal]]:
    """Those that a module declares, else those that it imports."""
    own = [cls for cls in classes if cls.__module__ == module]
    return own or [cls for cls in classes if _imports(module, cls)]


def _knows(module: str, cls: type[Refusal]) -> bool:
    return cls.__module__ == module or _imports(module, cls)


def _imports(module: str, cls: type[Refusal]) -> bool:
    """By its name, or with the module that it is in."""
    found = sys.modules.get(module)
    if found is None:
        return False
    return any(each is cls or _has(each, cls) for each in list(vars(found).values()))


def _has(module: object, cls: type[Refusal]) -> bool:
    return isinstance(module, ModuleType) and vars(module).get(cls.__name__) is cls


def _one(classes: list[type[Refusal]]) -> bool:
    """Whether these are one class, declared once or, as by code that is loaded again, several times."""
    return len({(cls.__module__, cls.__qualname__) for cls in classes}) <= 1


def _refusals(cls: type[Refusal]) -> list[type[Refusal]]:
    return [found for sub in cls.__subclasses__() for found in (sub, *_refusals(sub))]
