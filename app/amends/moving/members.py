"""Fields and methods that are called otherwise, and arguments of that name: renamed where the class is known."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import TypeAlias

from app.amends.moving.names import RewrittenFile
from app.amends.moving.scopes import Binding
from app.amends.moving.source import Span

Type: TypeAlias = str | tuple["Type", ...] | None
"""The old name of a class, or the types of the parts of a tuple."""


class MemberRenames:
    """Knows of an expression whether it is an object of an old class, as far as the file itself says so."""

    def __init__(self, file: RewrittenFile) -> None:
        self._file = file
        self._classes = file.moves.members
        self._open: set[ast.AST] = set()
        modules = {denoted.rpartition(".")[0] for denoted in file.denotes.values()}
        self._near = {cls: each for cls, each in self._classes.items() if cls.rpartition(".")[0] in modules}
        """Classes whose objects the file may have to do with."""

    def rewrite(self) -> None:
        """Note all edits."""
        if not self._near:
            return
        for node in ast.walk(self._file.source.tree):
            if isinstance(node, ast.Attribute) and node not in self._file.denotes:
                self._member(node)
            elif isinstance(node, ast.Call):
                self._arguments(node)
            elif isinstance(node, ast.MatchClass):
                self._pattern(node)

    def _member(self, node: ast.Attribute) -> None:
        cls = self._type(node.value)
        new = self._classes[cls].get(node.attr) if isinstance(cls, str) else None
        if new is not None:
            self._file.rename(node, new)
        elif cls is None and (near := {name: each for name, each in self._near.items() if node.attr in each}):
            classes = " or ".join(name.rpartition(".")[2] for name in near)
            otherwise = " or ".join(sorted({f".{each[node.attr]}" for each in near.values()}))
            self._file.report(node, f"of an object of {classes}, .{node.attr} is {otherwise} now")

    def _arguments(self, node: ast.Call) -> None:
        """The arguments that an object is made with are called as its fields are."""
        otherwise = self._classes.get(self._file.denotes.get(node.func, ""), {})
        for each in node.keywords:
            if each.arg and each.arg in otherwise:
                start = self._file.source.span(each).start
                self._file.source.replace(Span(start, start + len(each.arg)), otherwise[each.arg])

    def _pattern(self, node: ast.MatchClass) -> None:
        """Where the names of fields stand in a pattern, `ast` does not tell."""
        otherwise = self._classes.get(self._file.denotes.get(node.cls, ""), {})
        for each in filter(otherwise.__contains__, node.kwd_attrs):
            self._file.report(node.cls, f"{each}= is {otherwise[each]}= now in this pattern")

    # -- what an expression is

    def _type(self, node: ast.expr | None) -> Type:
        """What an expression is an object of; None if that is not known."""
        match node:
            case ast.Await(value=value) | ast.NamedExpr(value=value):
                return self._type(value)
            case ast.Call(func=func, args=args):
                return self._result(func, args)
            case ast.Tuple(elts=parts):
                return tuple(map(self._type, parts))
            case ast.BoolOp(op=ast.Or(), values=values):
                return _one(map(self._type, values))
            case ast.Name():
                return _one(map(self._bound, self._bindings(node)))
        return None

    def _result(self, func: ast.expr, args: list[ast.expr]) -> Type:
        if (denoted := self._file.denotes.get(func)) in self._classes:
            return denoted
        if isinstance(func, ast.Attribute):
            if ast.unparse(func) == "asyncio.run" and args:
                return self._type(args[0])
            return self._file.moves.results.get(f"{self._type(func.value)}.{func.attr}")
        if isinstance(func, ast.Name):
            return _one(map(self._returned, self._bindings(func)))
        return None

    def _bindings(self, node: ast.Name) -> list[Binding]:
        seen = self._file.scopes.seen_from.get(node)
        scope = seen and seen.meaning(node.id)
        return scope.bound[node.id] if scope else []

    def _bound(self, binding: Binding) -> Type:
        if binding.node in self._open:
            return None
        self._open.add(binding.node)
        try:
            found = self._annotated(binding.annotation) if binding.annotation else self._type(binding.value)
        finally:
            self._open.discard(binding.node)
        for at in binding.path:
            found = found[at] if isinstance(found, tuple) and at < len(found) else None
        return found

    def _returned(self, binding: Binding) -> Type:
        node = binding.node
        return self._annotated(node.returns) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else None

    def _annotated(self, annotation: ast.expr | None) -> Type:
        match annotation:
            case ast.BinOp(left=one, op=ast.BitOr(), right=ast.Constant(value=None)):
                return self._annotated(one)
            case ast.Subscript(value=ast.Name(id="tuple"), slice=ast.Tuple(elts=parts)):
                return tuple(map(self._annotated, parts))
            case ast.Name() | ast.Attribute() if (denoted := self._file.denotes.get(annotation)) in self._classes:
                return denoted
        return None


def _one(types: Iterable[Type]) -> Type:
    """The type, if all are the same."""
    found = set(types)
    return found.pop() if len(found) == 1 else None
