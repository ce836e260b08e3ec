"""Public words of Python as Markdown: what stands in their source, signatures and docstrings, and nothing beside it."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

Function = ast.FunctionDef | ast.AsyncFunctionDef
LINE = 100
"""A signature that is longer has a line for each parameter."""


def module_words(module: str, names: Sequence[str]) -> Iterator[str]:
    """The paragraphs of a module: its docstring, and each of these names of it."""
    yield f"## `{module}`"
    yield _docstring(_source(module)).partition("\n\n")[0]
    for name in names:
        yield from _word(name, *_found(module, name))


def _word(name: str, node: ast.stmt, doc: str) -> Iterator[str]:
    yield f"### `{name}`"
    match node:
        case ast.ClassDef():
            yield from _class(node)
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            yield _code(_signature(node))
            yield doc
        case _:
            yield _code(_python(node))
            yield doc


def _class(node: ast.ClassDef) -> Iterator[str]:
    bases = [_python(each) for each in node.bases]
    yield _code(f"class {node.name}({', '.join(bases)})" if bases else f"class {node.name}")
    yield _said(node)
    methods = _methods(node)
    if "__init__" in methods:
        yield _code(_signature(methods["__init__"], node.name))
    if "__init_subclass__" in methods:
        yield _code(_signature(methods["__init_subclass__"], "class …", node.name))
    yield "\n".join([*_fields(node), *_properties(methods.values())])
    for method in methods.values():
        if not method.name.startswith("_") and not _is_property(method):
            yield f"#### `{node.name}.{method.name}`"
            yield _code(_signature(method))
            yield _docstring(method)


def _said(node: ast.ClassDef) -> str:
    """Its docstring; that of an error may begin with its message, in which fields stand in braces."""
    message, gap, rest = _docstring(node).partition("\n\n")
    return f"Its message: `{' '.join(message.split())}`{gap}{rest}" if "{" in message else _docstring(node)


def _fields(node: ast.ClassDef) -> Iterator[str]:
    """The annotated fields of a class, each with the docstring below it."""
    for each, after in zip(node.body, [*node.body[1:], None], strict=True):
        if isinstance(each, ast.AnnAssign) and not _python(each.target).startswith("_"):
            said = _text(after) if isinstance(after, ast.Expr) else ""
            yield f"- `{_python(each)}`" + (f": {said}" if said else "")


def _properties(methods: Iterable[Function]) -> Iterator[str]:
    for each in methods:
        if _is_property(each) and not each.name.startswith("_"):
            returns = f": {_python(each.returns)}" if each.returns else ""
            yield f"- `{each.name}{returns}`: {' '.join(_docstring(each).split())}"


def _methods(node: ast.ClassDef) -> dict[str, Function]:
    """Methods by name; of overloads the last one, which has the docstring; no setters."""
    found: dict[str, Function] = {}
    for each in node.body:
        if isinstance(each, Function) and not any(".setter" in name for name in _decorators(each)):
            found[each.name] = each
    return found


def _decorators(node: Function) -> list[str]:
    return [_python(each) for each in node.decorator_list]


def _is_property(node: Function) -> bool:
    return "property" in _decorators(node)


def _signature(node: Function, shown: str | None = None, *before: str) -> str:
    """How it is called, without `self`; of a class how it is made, or subclassed."""
    start = shown or ("async def " if isinstance(node, ast.AsyncFunctionDef) else "def ") + node.name
    end = f" -> {_python(node.returns)}" if node.returns and shown is None else ""
    parameters = [*before, *(each for each in _parameters(node.args) if each not in ("self", "cls"))]
    if before:
        parameters = [each for each in parameters if not each.startswith("*")]
    line = f"{start}({', '.join(parameters)}){end}"
    return line if len(line) <= LINE else f"{start}(\n" + "".join(f"    {each},\n" for each in parameters) + f"){end}"


def _parameters(given: ast.arguments) -> Iterator[str]:
    plain = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(plain) - len(given.defaults)) + given.defaults
    for number, (each, default) in enumerate(zip(plain, defaults, strict=True), 1):
        yield _parameter(each, default)
        if number == len(given.posonlyargs):
            yield "/"
    if given.vararg:
        yield f"*{_parameter(given.vararg, None)}"
    elif given.kwonlyargs:
        yield "*"
    for each, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        yield _parameter(each, default)
    if given.kwarg:
        yield f"**{_parameter(given.kwarg, None)}"


def _parameter(node: ast.arg, default: ast.expr | None) -> str:
    annotation = f": {_python(node.annotation)}" if node.annotation else ""
    return node.arg + annotation + (f" = {_python(default)}" if default else "")


def _found(module: str, name: str) -> tuple[ast.stmt, str]:
    """Where a name of a module is defined, which may be another one, and its docstring."""
    home = getattr(getattr(importlib.import_module(module), name), "__module__", module)
    for where in (home, module):
        body = _source(where).body
        for each, after in reversed([*zip(body, [*body[1:], None], strict=True)]):
            if isinstance(each, ast.ClassDef | Function) and each.name == name:
                return each, _docstring(each)
            if isinstance(each, ast.AnnAssign) and _python(each.target) == name:
                return each, _text(after) if isinstance(after, ast.Expr) else ""
    raise LookupError(f"{module} has no {name}: correct the list of words in tests/amends/docs/reference.py")


@cache
def _source(module: str) -> ast.Module:
    return ast.parse(inspect.getsource(importlib.import_module(module)))


def _docstring(node: ast.Module | ast.ClassDef | Function) -> str:
    return ast.get_docstring(node) or ""


def _text(node: ast.Expr) -> str:
    """A docstring below a field, on one line."""
    value = node.value.value if isinstance(node.value, ast.Constant) else ""
    return " ".join(value.split()) if isinstance(value, str) else ""


def _code(text: str) -> str:
    return f"```python\n{text}\n```"


def _python(node: ast.AST) -> str:
    """Source of a node, with the quotes that ruff writes."""
    text = ast.unparse(node)
    return text if '"' in text else text.replace("'", '"')
