"""The file of an old version: the saga as it is, with its own functions and constants, and what it shares imported."""

from __future__ import annotations

import ast
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any, NewType

from app.amends.moving.moves import top_level_names
from app.amends.moving.scopes import Scopes
from app.amends.moving.source import Source, Span
from app.amends.versioning.imports import import_text, insert_import
from domain.amends.aggregate import Aggregate
from domain.amends.projection import Projection

WORD = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True)
class SagaFile:
    """The file that declares the newest version of a saga, with its module as Python has it."""

    text: str
    module: ModuleType
    cls: str
    name: str
    version: int

    @property
    def old_class(self) -> str:
        """What the class of the old version is called."""
        return f"{self.cls}V{self.version}"

    def old_text(self) -> str:
        """The text of the old version's file.

        Classes stay where they are, so that gateways, tests and both versions know the same ones: the old version
        imports them. Its functions and constants are its own from now on, for what it does must not change any more.
        """
        return _OldFile(self).text()

    def next_text(self) -> str:
        """The text of the file with the next version. Raises ValueError if the version is no number there."""
        source = Source(self.text)
        cls = _class(source, self.cls)
        given = {each.arg: each for each in cls.keywords}
        if (known := given.get("version")) is not None:
            if not isinstance(known.value, ast.Constant):
                raise ValueError(ast.unparse(known.value))
            source.replace(source.span(known.value), str(self.version + 1))
        else:
            end = source.span(given["name"].value).end
            source.replace(Span(end, end), f", version={self.version + 1}")
        return source.rewritten()


def _class(source: Source, name: str) -> ast.ClassDef:
    return next(each for each in source.tree.body if isinstance(each, ast.ClassDef) and each.name == name)


class _OldFile:
    """The old version's file while it is made: which statements it keeps, and which names it imports instead."""

    def __init__(self, file: SagaFile) -> None:
        self._file, self._source = file, Source(file.text)
        self._scopes = Scopes(self._source.tree)
        self._kept: set[int] = set()
        self._used: set[str] = set()
        self._shared: set[str] = set()

    def text(self) -> str:
        saga = _class(self._source, self._file.cls)
        self._keep(self._body.index(saga))
        self._describe()
        for number, statement in enumerate(self._body):
            if isinstance(statement, ast.Import | ast.ImportFrom) and self._import(statement):
                self._kept.add(number)
        self._leave_out()
        self._rename(saga)
        text = self._source.rewritten()
        shared = sorted(self._shared)
        return insert_import(text, self._file.module.__name__, shared) if shared else text

    @property
    def _body(self) -> list[ast.stmt]:
        return self._source.tree.body

    # -- what it keeps

    def _keep(self, number: int) -> None:
        """Keep a statement, and what it needs."""
        if number in self._kept:
            return
        self._kept.add(number)
        statement = self._body[number]
        bases = {each.id for each in getattr(statement, "bases", ()) if isinstance(each, ast.Name)}
        for name in self._names(statement):
            self._used.add(name)
            for other in self._bound.get(name, ()):
                if name == self._file.cls or isinstance(self._body[other], ast.Import | ast.ImportFrom):
                    continue
                if self._is_shared(self._body[other], name) and name not in bases:
                    self._shared.add(name)
                else:
                    self._keep(other)
        if number + 1 < len(self._body) and _is_text(self._body[number + 1]) and not _is_text(statement):
            self._kept.add(number + 1)  # what is said of a constant below it

    def _is_shared(self, statement: ast.stmt, name: str) -> bool:
        """Whether there must be one of it, for all versions: a class, what is registered, or what makes types."""
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return isinstance(statement, ast.ClassDef) or bool(statement.decorator_list)
        value: Any = getattr(self._file.module, name, None)
        return isinstance(value, type | NewType | Aggregate | Projection)

    def _names(self, statement: ast.stmt) -> Iterator[str]:
        """The names of the file's top that a statement uses, in annotations in quotes too."""
        parts = set(ast.walk(statement))
        for node, scope in self._scopes.uses:
            if node in parts and scope.meaning(node.id) is self._scopes.top:
                yield node.id
        for _, said in self._quoted(parts):
            yield from (word for word in WORD.findall(said) if word in self._bound)

    def _quoted(self, parts: Container[ast.AST]) -> Iterator[tuple[ast.Constant, str]]:
        """The texts in annotations of these parts, which are annotations in quotes."""
        for annotation, _ in self._scopes.annotations:
            for node in ast.walk(annotation) if annotation in parts else ():
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node, node.value

    @cached_property
    def _bound(self) -> dict[str, list[int]]:
        """By name, the numbers of the statements that bind it."""
        found: dict[str, list[int]] = {}
        for number, statement in enumerate(self._body):
            for name in set(top_level_names(ast.Module([statement], []))):
                found.setdefault(name, []).append(number)
        return found

    # -- how it is written

    def _describe(self) -> None:
        """Say in the first line which version it is."""
        file = self._file
        told = f'"""Version {file.version} of {file.name}, for the instances that began with it."""'
        if ast.get_docstring(self._source.tree) is not None:
            self._kept.add(0)
            self._source.replace(self._source.span(self._body[0]), told)

    def _import(self, statement: ast.Import | ast.ImportFrom) -> bool:
        """Import what is used alone; whether that is anything."""
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            return True
        used = [each for each in statement.names if each.name == "*" or _bound_by(statement, each) in self._used]
        if used and len(used) < len(statement.names):
            names = [f"{each.name} as {each.asname}" if each.asname else each.name for each in used]
            module = f"{'.' * statement.level}{statement.module or ''}" if isinstance(statement, ast.ImportFrom) else ""
            self._source.replace(self._source.span(statement), import_text(module, names))
        return bool(used)

    def _leave_out(self) -> None:
        """Leave out what is not kept, with the lines above it; the widest of the gaps around it stays."""
        gap, start = 0, 0
        for number, statement in enumerate(self._body):
            below = self._source.text[start : self._source.span(statement).start]
            gap = max(gap, _blank_lines(below)) if number else 0
            end = self._source.span(statement).end
            end += len(self._source.rest_of_line(end))
            if number not in self._kept:
                following = self._source.text[end:]
                more = gap - _blank_lines(following) if following.strip() else 0
                self._source.replace(Span(start, end), self._source.newline * more if number + 1 in self._kept else "")
            else:
                gap = 0
            start = end

    def _rename(self, saga: ast.ClassDef) -> None:
        """Give the class the name of its version."""
        old, new = self._file.cls, self._file.old_class
        start = self._source.offset(saga.lineno, saga.col_offset)
        at = self._source.text.index(old, start + len("class"))
        self._source.replace(Span(at, at + len(old)), new)
        kept = {node for number in self._kept for node in ast.walk(self._body[number])}
        for node in self._scopes.names(self._scopes.top, old):
            if node in kept:
                self._source.replace(self._source.span(node), new)
        word = re.compile(rf"\b{old}\b")
        for quoted, said in self._quoted(kept):
            if word.search(said):
                self._source.replace(self._source.span(quoted), f'"{word.sub(new, said)}"')


def _blank_lines(text: str) -> int:
    """How many lines end before the first one with something in it."""
    return text[: len(text) - len(text.lstrip("\r\n"))].count("\n")


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _bound_by(statement: ast.Import | ast.ImportFrom, alias: ast.alias) -> str:
    """The name that a part of an import binds."""
    whole = alias.asname or alias.name
    return whole.partition(".")[0] if isinstance(statement, ast.Import) else whole
