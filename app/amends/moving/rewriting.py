"""One Python file, rewritten from the first layout of Amends to today's."""

from __future__ import annotations

from dataclasses import dataclass

from app.amends.moving.dotted import DottedImports
from app.amends.moving.from_imports import FromImports
from app.amends.moving.members import MemberRenames
from app.amends.moving.moves import Moves, shipped_moves
from app.amends.moving.names import ProjectPlace, RewrittenFile
from app.amends.moving.source import Source
from app.amends.moving.text import report_strings, rewrite_annotations


@dataclass(frozen=True)
class RewriteResult:
    """The new text, and by line what a person has to look at."""

    text: str
    told: tuple[tuple[int, str], ...]


def rewrite_source(text: str, place: ProjectPlace | None = None, known: Moves | None = None) -> RewriteResult:
    """Rewrite what is imported and how it is called; all else stays as it is. Raises SyntaxError and ValueError."""
    file = RewrittenFile(Source(text), known or shipped_moves(), place or ProjectPlace())
    names = FromImports(file)
    names.rewrite()
    DottedImports(file, names).rewrite()
    MemberRenames(file).rewrite()
    rewrite_annotations(file, names.renamed)
    report_strings(file)
    return RewriteResult(file.source.rewritten(), tuple(sorted(set(file.told))))
