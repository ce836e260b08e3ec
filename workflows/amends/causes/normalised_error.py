"""An error's text without its variable parts, so that errors that say the same are the same text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from workflows.amends.history.stored_error import Problem
from workflows.amends.values.printable import LONGEST, one_line

GAP: Final = "…"
"""What stands in place of a variable part."""
LONGEST_ERROR: Final = 200
"""Characters of a normalised error."""

_URL: Final = re.compile(
    r"\b([a-z][a-z0-9+.-]{0,20})://(?:[^\s/@'\"<>]*@)?([^\s/?#'\"<>,;)\]}]*)[^\s'\"<>,;)\]}]*", re.I
)
_EMAIL: Final = re.compile(r"(?<![^\s@'\"<>(),;:=])[^\s@'\"<>(),;:=]+@[^\s@'\"<>(),;]+")
_QUOTED: Final = re.compile(
    r"\"(?:[^\"\\]|\\.?)*(?:\"|$)|(?<!\w)'(?:[^'\\]|\\.?|'(?=\w))*(?:'|$)|`[^`]*(?:`|$)|[“„][^“”]*(?:[“”]|$)|«[^»]*(?:»|$)"
)
"""Quotations; one that does not end goes to the end of the text, which may have been cut there."""
_WORD: Final = re.compile(r"[\w-]+")
_GAPS: Final = re.compile(rf"[+-]?{GAP}(?:[\s:/,.+-]*{GAP})*")
_REFUSED: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
PROVIDER_DOWN: Final = "ProviderDown"
"""The problem of a call that was not sent; its facts are the provider, and what its gateway says of that."""
_TELLS_A_TYPE: Final = "unanswered"
"""The problem of a step without an answer; its facts name the type of the last error."""


def normalised(text: str) -> str:
    """A text with a gap for each quotation, number, id, time, path of a URL and e-mail address; 200 characters at
    most."""
    said = one_line(text[:LONGEST])
    said = _QUOTED.sub(GAP, said)
    said = _URL.sub(lambda found: f"{found[1]}://{found[2]}/{GAP}", said)
    said = _EMAIL.sub(GAP, said)
    said = _GAPS.sub(GAP, _WORD.sub(_without_digits, said))
    return said if len(said) <= LONGEST_ERROR else said[: LONGEST_ERROR - 1] + GAP


def normalised_problem(problem: Problem) -> str:
    """A stored error as a cause tells it: a refusal by its type alone, any other with its class and its text.

    The facts of an error are left out of its text: they are what differs, and may be marked one day.
    """
    if _REFUSED.fullmatch(problem.name):
        return problem_type(problem)
    said = problem.message
    if problem.name != PROVIDER_DOWN:
        for value in sorted(set(_leaves(problem.facts)), key=len, reverse=True):
            said = (
                re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", GAP, said) if len(value) < 4 else said.replace(value, GAP)
            )
    return normalised(problem.name if said in ("", problem.name) else f"{problem.name}: {said}")


def problem_type(problem: Problem) -> str:
    """A stored error as its type alone, such as `card-declined`, `cancelled` or `unanswered: TimeoutError`."""
    of = problem.facts.get("error") if problem.name == _TELLS_A_TYPE else None
    return (f"{problem.name}: {of}" if isinstance(of, str) and of else problem.name)[:LONGEST_ERROR]


def _without_digits(word: re.Match[str]) -> str:
    """A gap for a number, a UUID, a digest, a part of a time, and any other word with a digit in it."""
    return GAP if any(map(str.isdecimal, word[0])) else word[0]


def _leaves(facts: Any) -> Iterator[str]:
    """All that facts say, as text."""
    if isinstance(facts, dict | list):
        for part in facts.values() if isinstance(facts, dict) else facts:
            yield from _leaves(part)
    elif facts is not None and not isinstance(facts, bool) and str(facts):
        yield str(facts)
