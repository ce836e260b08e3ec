"""`import x.y`, and what is said of modules by dotted names."""

from __future__ import annotations

import ast
from collections import defaultdict

from app.amends.moving.from_imports import FromImports
from app.amends.moving.names import RewrittenFile
from app.amends.moving.scopes import Scope


class DottedImports:
    """Rewrites these statements, and names that begin with the modules that they import."""

    def __init__(self, file: RewrittenFile, modules: FromImports) -> None:
        self._file, self._modules = file, dict(modules.modules)
        self._more: defaultdict[tuple[Scope, str], list[tuple[str, ast.expr]]] = defaultdict(list)
        """Modules that have to be imported beside an old one, since a part of it stands there now."""

    def rewrite(self) -> None:
        """Note all edits."""
        imported = [
            (alias, scope)
            for node, scope in self._file.scopes.imports
            if isinstance(node, ast.Import)
            for alias in node.names
        ]
        for alias, scope in imported:
            if alias.asname and self._file.new_module(alias.name):
                self._modules[scope, alias.asname] = alias.name
        for scope, root in {(scope, a.name.partition(".")[0]) for a, scope in imported if not a.asname}:
            self._chains(scope, root)
        for (scope, name), module in self._modules.items():
            self._of_module(scope, name, module)
        for alias, scope in imported:
            self._rewrite(alias, scope)
        for more in self._more.values():
            for module, node in more:
                self._file.report(node, f"nothing imports {module} here")

    def _rewrite(self, alias: ast.alias, scope: Scope) -> None:
        new = self._file.new_module(alias.name)
        if new is None:
            return
        more = [] if alias.asname else self._more.pop((scope, alias.name), [])
        text = ", ".join(
            [f"{new} as {alias.asname}" if alias.asname else new, *dict.fromkeys(each for each, _ in more)]
        )
        self._file.source.replace(self._file.source.span(alias), text)

    def _chains(self, scope: Scope, root: str) -> None:
        """Rewrite `a.b.c` where `a` is bound by imports: as far as that is an old module, and the name after it."""
        for name in self._file.scopes.names(scope, root):
            chain = [each for each in self._file.attributes(name) if self._file.new_module(each[0])]
            if not chain:
                continue
            module, node = chain[-1]
            where, new = self._file.find(node, module), self._file.new_module(module)
            if where is None or not all(isinstance(binding.node, ast.Import) for binding in scope.bound[root]):
                self._file.report(name, f"{module} is {new} now, if {root} is the package here")
            elif (used := self._used(node, module)) is None:
                self._file.source.replace(where, str(new))
            else:
                self._more[scope, module].append((used, name))
                self._file.source.replace(where, used)

    def _used(self, node: ast.expr, module: str) -> str | None:
        """Rename what is used of a module; returns the module that it stands in, if that is another one."""
        outer = self._file.parents.get(node)
        if not isinstance(outer, ast.Attribute):
            return None
        self._file.denotes[outer] = f"{module}.{outer.attr}"
        target = self._file.moves.new_location(module, outer.attr)
        if target is None:
            self._file.report(
                outer, f"{self._file.new_module(module)} has no {outer.attr}, and nothing is known of where it went"
            )
            return None
        if target.name != outer.attr:
            self._file.rename(outer, target.name)
        return target.module if target.module != self._file.new_module(module) else None

    def _of_module(self, scope: Scope, name: str, module: str) -> None:
        """Rename what is used of a module that the file knows by a name of its own."""
        for node in self._file.scopes.names(scope, name):
            outer = self._file.parents.get(node)
            if not isinstance(outer, ast.Attribute):
                continue
            self._file.denotes[outer] = f"{module}.{outer.attr}"
            target = self._file.moves.new_location(module, outer.attr)
            if target is None or target.module != self._file.new_module(module):
                where = f"is {target} now" if target else "is not there any more"
                self._file.report(outer, f"{name}.{outer.attr} {where}")
            elif target.name != outer.attr:
                self._file.rename(outer, target.name)
