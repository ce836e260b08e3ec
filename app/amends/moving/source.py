"""The text of a Python file: places in it as `ast` tells them, and edits that are all made at once."""

from __future__ import annotations

import ast
import re
from bisect import bisect_right
from typing import NamedTuple

_LINE = re.compile(r"\r\n|\r|\n")


class Span(NamedTuple):
    """A part of a text, from one character to before another one."""

    start: int
    end: int


class Source:
    """A text, the syntax tree of it, and what is to stand in some places instead."""

    def __init__(self, text: str) -> None:
        self.text, self.tree = text, ast.parse(text)
        self._lines = [0, *(match.end() for match in _LINE.finditer(text))]
        self._edits: dict[Span, str] = {}

    def offset(self, line: int, column: int) -> int:
        """The character at a line, counted from 1, and a column, which `ast` counts in bytes of UTF-8."""
        start = self._lines[line - 1]
        end = self._lines[line] if line < len(self._lines) else len(self.text)
        whole = self.text[start:end]
        return start + (column if whole.isascii() else len(whole.encode()[:column].decode()))

    def span(self, node: ast.stmt | ast.expr | ast.alias | ast.keyword) -> Span:
        """Where a node stands."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return Span(self.offset(node.lineno, node.col_offset), self.offset(node.end_lineno, node.end_col_offset))

    def line_number(self, at: int) -> int:
        """The number of the line in which a character stands."""
        return bisect_right(self._lines, at)

    def indentation_before(self, at: int) -> str | None:
        """What stands before a character in its line, if that is only white space."""
        before = self.text[self._lines[self.line_number(at) - 1] : at]
        return None if before.strip() else before

    def rest_of_line(self, at: int) -> str:
        """What stands in a line from a character on, without the line's end."""
        line = self.line_number(at)
        end = self._lines[line] if line < len(self._lines) else len(self.text)
        return self.text[at:end].rstrip("\r\n")

    @property
    def newline(self) -> str:
        """How the first line ends."""
        found = _LINE.search(self.text)
        return found[0] if found else "\n"

    def replace(self, span: Span, new: str) -> None:
        """Let something else stand there."""
        self._edits[span] = new

    def rewritten(self) -> str:
        """The text with all edits."""
        parts, done = [], 0
        for span, new in sorted(self._edits.items()):
            assert span.start >= done, "two edits of one place"
            parts += [self.text[done : span.start], new]
            done = span.end
        return "".join(parts) + self.text[done:]
