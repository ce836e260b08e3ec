"""Where each module of the first layout stands now, and what is called otherwise: the data, and questions about it."""

from __future__ import annotations

import ast
import importlib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).with_name("moved.toml")
RINGS = ("domain", "workflows", "app", "migrations")


class NewLocation(NamedTuple):
    """Where something stands now: the module that it is imported from, and its name there."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"

    @classmethod
    def of(cls, dotted: str) -> NewLocation:
        """Of `module.name`."""
        module, _, name = dotted.rpartition(".")
        return cls(module, name)


@dataclass(frozen=True)
class Moves:
    """The map from old to new, all of it dotted names.

    `modules` are modules and packages; `names` are those of their classes, functions and constants that are called
    otherwise or stand in another module than the rest; `members` are fields and methods of old classes, by class, that
    are called otherwise, and `results` what old methods return whose members are.
    """

    modules: Mapping[str, str]
    names: Mapping[str, str]
    members: Mapping[str, Mapping[str, str]]
    results: Mapping[str, str]

    def new_module(self, old: str) -> str | None:
        """Where an old module stands now."""
        return self.modules.get(old)

    def new_location(self, module: str, name: str) -> NewLocation | None:
        """Where what an old module had under a name stands now; None if there is no telling."""
        dotted = f"{module}.{name}"
        if dotted in self.names:
            return NewLocation.of(self.names[dotted])
        if dotted in self.modules:
            return NewLocation.of(self.modules[dotted])
        new = self.modules.get(module)
        if new is None:
            return None
        if name in names_bound_in(new):
            return NewLocation(new, name)
        alike = {each for old, each in self.names.items() if old.endswith(f".{name}")}
        return NewLocation.of(alike.pop()) if len(alike) == 1 else None  # it was only imported there

    def is_module(self, dotted: str) -> bool:
        """Whether an old name is that of a module."""
        return dotted in self.modules and dotted not in self.names

    def concerns(self, module: str) -> bool:
        """Whether an old module, or one in it, has moved."""
        return module in self.modules or any(each.startswith(f"{module}.") for each in self.modules)


@cache
def shipped_moves() -> Moves:
    """The map that Amends brings."""
    read = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return Moves(read["modules"], read["names"], read["members"], read["results"])


@cache
def names_bound_in(module: str) -> frozenset[str]:
    """The names that a module of Amends binds, read from its file; none if there is no such module."""
    file = module_source(module)
    return frozenset(top_level_names(ast.parse(file.read_text(encoding="utf-8")))) if file else frozenset()


def module_source(module: str) -> Path | None:
    """The file of a module of Amends as it is now."""
    ring, *rest = module.split(".")
    return module_file(Path(next(iter(importlib.import_module(f"{ring}.amends").__path__))).parent, rest)


def module_file(folder: Path, parts: list[str]) -> Path | None:
    """The file of a module below a folder, if there is one."""
    path = folder.joinpath(*parts)
    found = (path.with_suffix(".py") if parts else path / "__init__.py", path / "__init__.py")
    return next((each for each in found if each.is_file()), None)


def top_level_names(tree: ast.Module) -> Iterator[str]:
    """The names that a module binds, however it does so, but for those within its functions and classes."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
                continue
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from ((each.asname or each.name).partition(".")[0] for each in names)
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
        waiting += ast.iter_child_nodes(node)
