"""Lists the old version of a saga beside the new one, where the service makes its sagas."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from app.amends.moving.source import Source, Span
from app.amends.versioning.imports import insert_import


def with_old_version(text: str, module: str, cls: str, old_module: str, old_cls: str) -> str | None:
    """A file's text in which the old version stands behind the new one, made with the same gateways.

    None if no list of the file has the new one in it.
    """
    source = Source(text)
    calls = list(_listed(source.tree, _names_of(source.tree, module, cls)))
    for call in calls:
        start, end = source.span(call)
        given = source.text[source.span(call.func).end : end]
        indentation = source.indentation_before(start)
        apart = " " if indentation is None else f"{source.newline}{indentation}"
        source.replace(Span(end, end), f",{apart}{old_cls}{given}")
    return insert_import(source.rewritten(), old_module, [old_cls]) if calls else None


def _names_of(tree: ast.Module, module: str, cls: str) -> set[str]:
    """How a file names a class of a module."""
    package, _, last = module.rpartition(".")
    names = set[str]()
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=known, level=0, names=aliases) if known == module:
                names |= {each.asname or each.name for each in aliases if each.name == cls}
            case ast.ImportFrom(module=known, level=0, names=aliases) if known == package:
                names |= {f"{each.asname or each.name}.{cls}" for each in aliases if each.name == last}
            case ast.Import(names=aliases):
                names |= {f"{each.asname or each.name}.{cls}" for each in aliases if each.name == module}
    return names


def _listed(tree: ast.Module, names: set[str]) -> Iterator[ast.Call]:
    """Where an object of a class is made as a part of a list."""
    for node in ast.walk(tree):
        if isinstance(node, ast.List | ast.Tuple):
            for part in node.elts:
                if isinstance(part, ast.Call) and ast.unparse(part.func) in names:
                    yield part
