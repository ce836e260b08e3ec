"""Which binding a name in a Python file means: Python's own rules of scopes, without running anything."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Comprehension: TypeAlias = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


@dataclass(frozen=True, eq=False)
class Binding:
    """A place that binds a name: the node, and if it is known what stands there, a value or an annotation of it.

    Where a value is taken apart, `path` says which part of it the name is given, of which part, and so on.
    """

    node: ast.AST
    value: ast.expr | None = None
    annotation: ast.expr | None = None
    path: tuple[int, ...] = ()


@dataclass(eq=False)
class Scope:
    """A module, class, function or comprehension, and what it binds."""

    kind: Literal["module", "class", "function", "comprehension"]
    parent: Scope | None = None
    bound: defaultdict[str, list[Binding]] = field(default_factory=lambda: defaultdict(list))
    elsewhere: dict[str, Scope] = field(default_factory=dict)
    """Names that `global` and `nonlocal` give to another scope."""

    def bind(self, name: str, binding: Binding) -> None:
        """Note a binding, in the scope that it belongs to."""
        self.elsewhere.get(name, self).bound[name].append(binding)

    def meaning(self, name: str) -> Scope | None:
        """The scope whose name it is, as seen from here; None for a builtin. Functions do not see their classes."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.elsewhere:
                return scope.elsewhere[name]
            if name in scope.bound and (scope is self or scope.kind != "class"):
                return scope
            scope = scope.parent
        return None

    @property
    def module(self) -> Scope:
        """The outermost one."""
        return self if self.parent is None else self.parent.module


class Scopes:
    """All scopes of a file: where each name is used, and in which scope each statement that imports stands."""

    def __init__(self, tree: ast.Module) -> None:
        self.top = self._scope = Scope("module")
        self.uses: list[tuple[ast.Name, Scope]] = []
        self.imports: list[tuple[ast.Import | ast.ImportFrom, Scope]] = []
        self.annotations: list[tuple[ast.expr, Scope]] = []
        self.seen_from: dict[ast.AST, Scope] = {}
        """From which scope a name is looked up."""
        self._visit(tree.body)

    def names(self, scope: Scope, name: str) -> Iterable[ast.Name]:
        """Where a name that a scope binds is used."""
        return (node for node, seen in self.uses if node.id == name and seen.meaning(name) is scope)

    def _visit(self, *groups: Iterable[ast.AST]) -> None:
        for group in groups:
            for node in group:
                look = LOOKS.get(type(node))
                if look is not None:
                    look(self, node)
                else:
                    self._visit(ast.iter_child_nodes(node))

    # -- what opens a scope

    def _function(self, node: Function) -> None:
        self._scope.bind(node.name, Binding(node))
        self._visit(node.decorator_list, getattr(node, "type_params", ()))
        self._annotated(node.returns)
        self._callable(node.args, node.body)

    def _lambda(self, node: ast.Lambda) -> None:
        self._callable(node.args, [node.body])

    def _class(self, node: ast.ClassDef) -> None:
        self._scope.bind(node.name, Binding(node))
        self._visit(node.decorator_list, node.bases, node.keywords, getattr(node, "type_params", ()))
        self._within("class", node.body)

    def _comprehension(self, node: Comprehension) -> None:
        first, *rest = node.generators
        self._visit([first.iter])
        results = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        self._within("comprehension", [first.target, *first.ifs, *rest, *results])

    def _callable(self, args: ast.arguments, body: Iterable[ast.AST]) -> None:
        every = [*args.posonlyargs, *args.args, *args.kwonlyargs, *filter(None, (args.vararg, args.kwarg))]
        self._visit(args.defaults, [each for each in args.kw_defaults if each])
        for each in every:
            self._annotated(each.annotation)
        self._within("function", [*every, *body])

    def _within(self, kind: Literal["class", "function", "comprehension"], nodes: Iterable[ast.AST]) -> None:
        outer = self._scope
        self._scope = Scope(kind, outer)
        self._visit(nodes)
        self._scope = outer

    # -- what binds a name

    def _name(self, node: ast.Name) -> None:
        self._use(node, self._scope)
        bound = self._scope.elsewhere.get(node.id, self._scope).bound
        if not isinstance(node.ctx, ast.Load) and all(each.node is not node for each in bound.get(node.id, ())):
            self._scope.bind(node.id, Binding(node))

    def _argument(self, node: ast.arg) -> None:
        self._scope.bind(node.arg, Binding(node, annotation=node.annotation))

    def _import(self, node: ast.Import | ast.ImportFrom) -> None:
        self.imports.append((node, self._scope))
        for each in node.names:
            name = each.name.partition(".")[0] if isinstance(node, ast.Import) else each.name
            self._scope.bind(each.asname or name, Binding(node))

    def _assignment(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._assigned(target, node.value)
        self._visit(node.targets, [node.value])

    def _declaration(self, node: ast.AnnAssign) -> None:
        if isinstance(node.target, ast.Name):
            self._scope.bind(node.target.id, Binding(node.target, node.value, node.annotation))
        self._annotated(node.annotation)
        self._visit([node.target], [node.value] if node.value else [])

    def _walrus(self, node: ast.NamedExpr) -> None:
        scope = self._scope
        while scope.kind == "comprehension" and scope.parent:
            scope = scope.parent
        scope.bind(node.target.id, Binding(node.target, node.value))
        self._use(node.target, scope)
        self._visit([node.value])

    def _named(self, node: Any) -> None:
        """An exception that is caught, a pattern, or a parameter of types."""
        name = node.rest if isinstance(node, ast.MatchMapping) else node.name
        if name:
            self._scope.bind(name, Binding(node))
        self._visit(ast.iter_child_nodes(node))

    def _global(self, node: ast.Global) -> None:
        self._scope.elsewhere |= dict.fromkeys(node.names, self._scope.module)

    def _nonlocal(self, node: ast.Nonlocal) -> None:
        for name in node.names:
            outer = self._scope.parent and self._scope.parent.meaning(name)
            self._scope.elsewhere[name] = outer or self._scope.module

    def _use(self, node: ast.Name, scope: Scope) -> None:
        self.uses.append((node, scope))
        self.seen_from[node] = scope

    def _assigned(self, target: ast.expr, value: ast.expr, path: tuple[int, ...] = ()) -> None:
        """Note which value a name is given, or which part of one."""
        if isinstance(target, ast.Name):
            self._scope.bind(target.id, Binding(target, value, path=path))
        elif isinstance(target, ast.Tuple | ast.List) and not any(isinstance(e, ast.Starred) for e in target.elts):
            for at, each in enumerate(target.elts):
                self._assigned(each, value, (*path, at))

    def _annotated(self, annotation: ast.expr | None) -> None:
        if annotation is not None:
            self.annotations.append((annotation, self._scope))
            self._visit([annotation])


LOOKS: Mapping[type[ast.AST], Callable[[Scopes, Any], None]] = {
    **dict.fromkeys((ast.FunctionDef, ast.AsyncFunctionDef), Scopes._function),
    ast.Lambda: Scopes._lambda,
    ast.ClassDef: Scopes._class,
    **dict.fromkeys((ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp), Scopes._comprehension),
    ast.Name: Scopes._name,
    ast.arg: Scopes._argument,
    **dict.fromkeys((ast.Import, ast.ImportFrom), Scopes._import),
    ast.Assign: Scopes._assignment,
    ast.AnnAssign: Scopes._declaration,
    ast.NamedExpr: Scopes._walrus,
    **dict.fromkeys((ast.ExceptHandler, ast.MatchAs, ast.MatchStar, ast.MatchMapping), Scopes._named),
    **{getattr(ast, name): Scopes._named for name in ("TypeVar", "ParamSpec", "TypeVarTuple") if hasattr(ast, name)},
    ast.Global: Scopes._global,
    ast.Nonlocal: Scopes._nonlocal,
}
"""How each kind of node is looked at; of any other kind, its parts are."""
