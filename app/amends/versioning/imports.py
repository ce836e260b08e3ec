"""Imports that are added to a file where they belong, as ruff sorts and wraps them."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Final

from app.amends.moving.source import Source, Span

LINE: Final = 120
"""Characters of a line."""


def import_text(module: str, names: Sequence[str]) -> str:
    """The statement that imports names from a module, or modules if that is empty."""
    if not module:
        return f"import {', '.join(names)}"
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= LINE:
        return line
    return f"from {module} import (\n" + "".join(f"    {name},\n" for name in names) + ")"


def insert_import(text: str, module: str, names: Sequence[str]) -> str:
    """A file's text with one import more: behind those of modules that are sorted before it."""
    source = Source(text)
    ordered = sorted(names, key=lambda name: (_rank(name), _natural(name)))
    statement = import_text(module, ordered).replace("\n", source.newline)
    imports = [each for each in source.tree.body if isinstance(each, ast.Import | ast.ImportFrom)]
    ring = module.partition(".")[0]
    near = [each for each in imports if _module(each).partition(".")[0] == ring and isinstance(each, ast.ImportFrom)]
    before = [each for each in near if _natural(_module(each)) < _natural(module)]
    if before or (imports and not near):
        last = (before or imports)[-1]
        end = source.span(last).end
        end += len(source.rest_of_line(end))
        source.replace(Span(end, end), source.newline + statement)
    elif near:
        start = source.span(near[0]).start
        source.replace(Span(start, start), statement + source.newline)
    else:
        documented = ast.get_docstring(source.tree) is not None
        start = source.span(source.tree.body[0]).end if documented else 0
        lines = source.newline * 2
        source.replace(Span(start, start), lines + statement if documented else statement + lines)
    return source.rewritten()


def _module(statement: ast.Import | ast.ImportFrom) -> str:
    if isinstance(statement, ast.ImportFrom):
        return f"{'.' * statement.level}{statement.module or ''}"
    return statement.names[0].name


def _rank(name: str) -> int:
    """Constants stand before classes, and classes before all else."""
    return 0 if name.isupper() and len(name) > 1 else 1 if name[:1].isupper() else 2


def _natural(text: str) -> list[tuple[int, int, str]]:
    """How a name is sorted: the numbers in it count as such."""
    parts = re.findall(r"\d+|\D+", text.lower())
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]
