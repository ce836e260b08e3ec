"""One Python file, rewritten from the first layout of Amends to today's."""

from __future__ import annotations

from dataclasses import dataclass

from app.amends.moving.dotted import Imports
from app.amends.moving.from_imports import FromImports
from app.amends.moving.members import Members
from app.amends.moving.moves import Moves, moves
from app.amends.moving.names import File, Place
from app.amends.moving.source import Source
from app.amends.moving.text import rewrite_annotations, tell_of_strings


@dataclass(frozen=True)
class Rewritten:
    """The new text, and by line what a person has to look at."""

    text: str
    told: tuple[tuple[int, str], ...]


def rewritten(text: str, place: Place | None = None, known: Moves | None = None) -> Rewritten:
    """Rewrite what is imported and how it is called; all else stays as it is. Raises SyntaxError and ValueError."""
    file = File(Source(text), known or moves(), place or Place())
    names = FromImports(file)
    names.rewrite()
    Imports(file, names).rewrite()
    Members(file).rewrite()
    rewrite_annotations(file, names.renamed)
    tell_of_strings(file)
    return Rewritten(file.source.rewritten(), tuple(sorted(set(file.told))))
