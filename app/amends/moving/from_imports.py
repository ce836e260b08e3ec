"""`from x import y`: each name is taken from where it stands now."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from app.amends.moving.moves import NewLocation
from app.amends.moving.names import RewrittenFile
from app.amends.moving.scopes import Scope
from app.amends.moving.source import Span

SPACE = r"(?:\s|\\\r?\n)*"
MODULE = re.compile(rf"from({SPACE})((?:[\w.]|\s|\\\r?\n)*?)({SPACE})(?<!\w)import(?!\w)")


@dataclass(frozen=True)
class ImportedName:
    """A name that a statement imports from an old module, and where that stands now; None if it stays."""

    alias: ast.alias
    module: str
    target: NewLocation | None

    @property
    def local_name(self) -> str:
        """The name by which the file knows it."""
        return self.alias.asname or self.alias.name

    @property
    def old_dotted(self) -> str:
        """What it was called, dotted."""
        return f"{self.module}.{self.alias.name}"


@dataclass(frozen=True)
class ImportStatement:
    """An import statement with what it takes."""

    node: ast.ImportFrom
    scope: Scope
    taken: tuple[ImportedName, ...]


class FromImports:
    """Rewrites these statements, and the uses of names that are called otherwise now."""

    def __init__(self, file: RewrittenFile) -> None:
        self._file = file
        self.modules: dict[tuple[Scope, str], str] = {}
        """Names in a scope that mean an old module."""
        self.renamed: dict[str, str] = {}
        """Names at the top of the file that are called otherwise in it now."""

    def rewrite(self) -> None:
        """Note all edits."""
        for statement in self._statements:
            if statement.node.names[0].name == "*":
                self._star(statement)
            else:
                self._rewrite(statement)

    # -- what is imported

    @cached_property
    def _statements(self) -> list[ImportStatement]:
        return [
            ImportStatement(node, scope, tuple(self._taken(node, module)))
            for node, scope in self._file.scopes.imports
            if isinstance(node, ast.ImportFrom) and self._file.moves.concerns(module := self._absolute(node))
        ]

    def _absolute(self, node: ast.ImportFrom) -> str:
        """The module of a statement; one that is relative to nothing known is none of ours."""
        if not node.level:
            return node.module or ""
        parts = self._file.place.package.split(".") if self._file.place.package else []
        if node.level > len(parts):
            return ""
        return ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])

    def _taken(self, node: ast.ImportFrom, module: str) -> Iterator[ImportedName]:
        for alias in node.names:
            yield ImportedName(alias, module, self._target(node, module, alias.name))

    def _target(self, node: ast.ImportFrom, module: str, name: str) -> NewLocation | None:
        """Where it stands now. What the project has itself by that name stays."""
        dotted, own = f"{module}.{name}", self._file.place.own(module)
        if (own is not None and name in own) or self._file.place.own(dotted) is not None or name == "*":
            return None
        found = self._file.moves.new_location(module, name)
        if found is None and own is None and (new := self._file.moves.new_module(module)):
            self._file.report(node, f"{new} has no {name}, and nothing is known of where it went")
            return NewLocation(new, name)
        return found

    # -- what becomes of it

    def _star(self, statement: ImportStatement) -> None:
        (taken,) = statement.taken
        if new := self._file.new_module(taken.module):
            self._file.source.replace(*self._module(statement.node, new))
            otherwise = {
                old.removeprefix(f"{taken.module}."): moved
                for old, moved in self._file.moves.names.items()
                if old.rpartition(".")[0] == taken.module
            }
            for name, moved in sorted(otherwise.items()):
                self._file.report(statement.node, f"it imports everything: what was {name} is {moved}")

    def _rewrite(self, statement: ImportStatement) -> None:
        groups: defaultdict[str | None, list[ImportedName]] = defaultdict(list)
        for each in statement.taken:
            groups[each.target.module if each.target else None].append(each)
            self._note(statement.scope, each)
        if set(groups) == {None}:
            return
        stays = None if None in groups else self._main(statement, groups)
        if stays is not None:
            self._file.source.replace(*self._module(statement.node, stays))
        for each in groups.pop(stays):
            text = self._imported(statement.scope, each)
            if text != self._text(each):
                self._file.source.replace(self._file.source.span(each.alias), text)
        if groups:
            self._split(statement, {module or "": taken for module, taken in groups.items()})

    def _main(self, statement: ImportStatement, groups: dict[str | None, list[ImportedName]]) -> str:
        """The module whose names stay in the statement: the one that the old one has become, or the first."""
        usual = self._file.moves.new_module(statement.taken[0].module)
        return next(str(each) for each in (usual, *groups) if each in groups)

    def _note(self, scope: Scope, taken: ImportedName) -> None:
        if taken.target is not None and self._file.moves.is_module(taken.old_dotted):
            self.modules[scope, taken.local_name] = taken.old_dotted
        elif taken.target is not None:
            for node in self._file.scopes.names(scope, taken.local_name):
                self._file.denotes[node] = taken.old_dotted

    def _imported(self, scope: Scope, taken: ImportedName) -> str:
        """What is imported now, with the name that the file knows it by, if that is another one."""
        if taken.target is None:
            return self._text(taken)
        new = taken.target.name
        if taken.alias.asname is None and new != taken.alias.name and self._renamed(scope, taken, new):
            return new
        return new if new == taken.local_name and taken.alias.asname is None else f"{new} as {taken.local_name}"

    def _renamed(self, scope: Scope, taken: ImportedName, new: str) -> bool:
        """Let the file call it by its new name, wherever it uses it; False if that cannot be."""
        if self._file.moves.is_module(taken.old_dotted) or not self._file.may_rename(scope, taken.local_name, new):
            return False
        same = {
            id(statement.node)
            for statement in self._statements
            for each in statement.taken
            if statement.scope is scope and each.local_name == taken.local_name and each.target == taken.target
        }
        if any(id(binding.node) not in same for binding in scope.bound[taken.local_name]):
            return False
        places = [self._file.find(node, taken.local_name) for node in self._file.scopes.names(scope, taken.local_name)]
        if None in places:
            return False
        for each in places:
            self._file.source.replace(each or Span(0, 0), new)
        if scope is self._file.scopes.top:
            self.renamed[taken.local_name] = new
        return True

    # -- the text

    def _text(self, taken: ImportedName) -> str:
        start, end = self._file.source.span(taken.alias)
        return self._file.source.text[start:end]

    def _module(self, node: ast.ImportFrom, new: str) -> tuple[Span, str]:
        """Where the module of a statement stands, and what is to stand there."""
        start, end = self._file.source.span(node)
        found = MODULE.match(self._file.source.text, start, end)
        assert found is not None, "every such statement has a module"
        if found[1] and found[3]:
            return Span(*found.span(2)), new
        return Span(found.start(1), found.end(3)), f" {new} "

    def _split(self, statement: ImportStatement, groups: dict[str, list[ImportedName]]) -> None:
        """Take what moved elsewhere out of a statement, and import it in statements after that."""
        source, node = self._file.source, statement.node
        comments = self._taken_out(statement, {id(each.alias) for taken in groups.values() for each in taken})
        made = [
            f"from {module} import {', '.join(self._imported(statement.scope, each) for each in taken)}"
            for module, taken in groups.items()
        ]
        start, end = source.span(node)
        rest, indentation = source.rest_of_line(end), source.indentation_before(start)
        if indentation is None or (rest.strip() and not rest.strip().startswith("#")):
            source.replace(Span(end, end), "".join(f"; {each}" for each in made))
            return
        if comments:
            made[-1] += "  " + " ".join(comments)
        at = end + len(rest)
        source.replace(Span(at, at), "".join(f"{source.newline}{indentation}{each}" for each in made))

    def _taken_out(self, statement: ImportStatement, gone: set[int]) -> list[str]:
        """Take names out of a statement's list; returns the comments that stood beside them."""
        text, names = self._file.source.text, statement.node.names
        spans = [self._file.source.span(each) for each in names]
        last = max(at for at, each in enumerate(names) if id(each) not in gone)
        cut = [Span(spans[at].start, spans[at + 1].start) for at in range(last) if id(names[at]) in gone]
        if last + 1 < len(names):
            cut.append(self._end_of_list(spans[last].end, spans[last + 1].start, spans[-1].end))
        for each in cut:
            self._file.source.replace(each, "")
        return [comment.strip() for each in cut for comment in re.findall(r"#[^\r\n]*", text[each.start : each.end])]

    def _end_of_list(self, kept: int, gone: int, end: int) -> Span:
        """What is to be cut so that a list of names ends earlier; a comment beside the last one that stays, stays."""
        text = self._file.source.text
        between = text[kept:gone]
        if "\n" not in between or "\\" in between:
            return Span(kept, end)
        found = re.compile(r"\s*,(?:[ \t]*#[^\r\n]*)?|[ \t]*#[^\r\n]*|").match(text, end)
        assert found is not None
        line = kept + between.rindex("\n")
        return Span(line - (text[line - 1] == "\r"), found.end())
