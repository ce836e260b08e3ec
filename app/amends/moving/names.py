"""The names of one file that come from old modules of Amends, and what they become."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from app.amends.moving.moves import Moves
from app.amends.moving.scopes import Scope, Scopes
from app.amends.moving.source import Source, Span


@dataclass(frozen=True)
class ProjectPlace:
    """Where a file stands in its project, and what the project has of its own."""

    package: str = ""
    """The package that the file is in, for its relative imports."""
    own: Callable[[str], frozenset[str] | None] = lambda module: None
    """What a module of the project binds; None if the project has no module of that name."""
    asked_for: frozenset[str] = frozenset()
    """The names that other files take from this one; `*` for all."""


@dataclass
class RewrittenFile:
    """One file while it is rewritten: its text, its scopes, and what a person has to look at."""

    source: Source
    moves: Moves
    place: ProjectPlace
    told: list[tuple[int, str]] = field(default_factory=list)
    denotes: dict[ast.expr, str] = field(default_factory=dict)
    """By their old dotted names, classes and functions that expressions name."""

    @cached_property
    def scopes(self) -> Scopes:
        """What each name means."""
        return Scopes(self.source.tree)

    @cached_property
    def parents(self) -> dict[ast.AST, ast.AST]:
        """What each node is a part of."""
        return {child: node for node in ast.walk(self.source.tree) for child in ast.iter_child_nodes(node)}

    @cached_property
    def exported(self) -> frozenset[str]:
        """The names that others know the file's own by: those of `__all__`, and those that other files ask for."""
        listed = {
            each.value
            for name in self.scopes.names(self.scopes.top, "__all__")
            if isinstance(statement := self.parents[name], ast.Assign | ast.AnnAssign | ast.AugAssign)
            for each in ast.walk(statement)
            if isinstance(each, ast.Constant) and isinstance(each.value, str)
        }
        return frozenset(listed) | self.place.asked_for

    def new_module(self, module: str) -> str | None:
        """Where an old module stands now, unless the project has one of that name itself."""
        return None if self.place.own(module) is not None else self.moves.new_module(module)

    def report(self, node: ast.expr | ast.stmt | ast.alias, what: str) -> None:
        """Note what a person has to look at."""
        self.told.append((node.lineno, what))

    def attributes(self, name: ast.Name) -> Iterator[tuple[str, ast.expr]]:
        """`a`, `a.b`, `a.b.c`, …: what begins with a name, as far as it goes, by its text."""
        node: ast.AST = name
        dotted = name.id
        yield dotted, name
        while isinstance(outer := self.parents.get(node), ast.Attribute):
            dotted, node = f"{dotted}.{outer.attr}", outer
            yield dotted, outer

    def rename(self, node: ast.Attribute, new: str) -> None:
        """Let what stands after the last dot of an attribute be another name."""
        if (where := self.find(node, node.attr)) is not None:
            self.source.replace(where, new)
        else:
            self.report(node, f".{node.attr} is .{new} now")

    def find(self, node: ast.expr, text: str) -> Span | None:
        """Where a name stands, or a dotted one, or the end of one.

        None within an f-string where that is not known for sure: before Python 3.12 `ast` does not tell.
        """
        start, end = self.source.span(node)
        if sys.version_info >= (3, 12) or (whole := self._f_string(node)) is None:
            return Span(start if "." in text else end - len(text), end)
        start, end = self.source.span(whole)
        found = list(re.finditer(rf"(?<!\w){re.escape(text)}(?!\w)", self.source.text[start:end]))
        nodes = [each for part in whole.values for each in sorted(_named(part, text), key=_place)]
        if len(found) != len(nodes):
            return None
        here = found[nodes.index(node)]
        return Span(start + here.start(), start + here.end())

    def _f_string(self, node: ast.AST) -> ast.JoinedStr | None:
        """The outermost f-string around a node."""
        found = None
        while (outer := self.parents.get(node)) is not None:
            node = outer
            found = node if isinstance(node, ast.JoinedStr) else found
        return found

    def may_rename(self, scope: Scope, old: str, new: str) -> bool:
        """Whether what a scope binds can be called otherwise: nobody else knows it, and the new name is free."""
        if scope is self.scopes.top and {old, "*"} & self.exported:
            return False
        return new not in self._all_names

    @cached_property
    def _all_names(self) -> frozenset[str]:
        """All that is bound or used anywhere in the file."""
        used = {node.id for node, _ in self.scopes.uses}
        bound = {name for _, seen in self.scopes.uses for name in _visible(seen)}
        bound |= {name for _, scope in self.scopes.imports for name in _visible(scope)}
        return frozenset(used | bound)


def _named(whole: ast.AST, text: str) -> Iterator[ast.expr]:
    """The names, dotted names and ends of those that are written so within a node."""
    for node in ast.walk(whole):
        if isinstance(node, ast.Name | ast.Attribute) and text in (getattr(node, "attr", None), ast.unparse(node)):
            yield node


def _place(node: ast.expr) -> tuple[int, int]:
    """How far on in an f-string an expression ends, compared with others in the same pair of braces."""
    return node.end_lineno or 0, node.end_col_offset or 0


def _visible(scope: Scope | None) -> Iterator[str]:
    while scope is not None:
        yield from scope.bound
        scope = scope.parent
