"""Old names that stand in strings: an annotation in quotes is rewritten, anything else is for a person to look at."""

from __future__ import annotations

import ast
import re

from app.amends.moving.names import RewrittenFile
from app.amends.moving.source import Source, Span

DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)+(?::[^\W\d]\w*)?")


def rewrite_annotations(file: RewrittenFile, renamed: dict[str, str]) -> None:
    """Rename what is renamed at the top of a file in annotations that are written in quotes too."""
    for annotation, scope in file.scopes.annotations:
        for node in ast.walk(annotation):
            if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
                continue
            for name in _names(node.value):
                new = renamed.get(name.id)
                if new is None or scope.meaning(name.id) is not file.scopes.top:
                    continue
                if (span := _written(node, file.source)) is None:
                    file.report(node, f"{name.id} is {new} now")
                else:
                    start = span.start + name.col_offset
                    file.source.replace(Span(start, start + len(name.id)), new)


def report_strings(file: RewrittenFile) -> None:
    """Note strings that are the name of an old module, or of something in it."""
    for node in ast.walk(file.source.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and DOTTED.fullmatch(node.value):
            parts = re.split(r"[.:]", node.value)
            dotted = [".".join(parts[:count]) for count in range(len(parts), 1, -1)]
            for each in dotted:
                if new := file.new_module(each):
                    file.report(node, f"the text {node.value!r} names {each}, which is {new} now")
                    break


def _names(text: str) -> list[ast.Name]:
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError):
        return []
    return [node for node in ast.walk(tree) if isinstance(node, ast.Name)]


def _written(node: ast.Constant, source: Source) -> Span | None:
    """Where the text of a string stands, if it is written as it is, in one piece, on one line, and in ASCII."""
    start, end = source.span(node)
    written, value = source.text[start:end], str(node.value)
    plain = written.isascii() and written in (f'"{value}"', f"'{value}'")
    return Span(start + 1, end - 1) if plain else None
