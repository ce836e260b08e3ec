"""Errors as they are stored, and back: a refusal caught after a crash is the same refusal."""

from __future__ import annotations

from typing import Any, Final, TypeGuard

from pydantic import JsonValue
from pydantic_core import to_jsonable_python

from domain.errors import AmendsError, Refusal, TooLarge, Unstorable
from workflows.codec import dump, kept, load, plain, require_storable, text
from workflows.said import kind, said
from workflows.sensitive import cleaned
from workflows.story import Problem


class TurnedBack(AmendsError):
    """{saga} turned back: {reason}. Everything that was done has been compensated."""

    saga: str
    reason: str
    error: Problem | None = None

    @property
    def code(self) -> str:
        """Shown by DBOS's tools beside the message."""
        return "compensated"

    @property
    def data(self) -> dict[str, Any]:
        """Shown by DBOS's tools beside the message."""
        return {"reason": self.reason, "error": self.error and dump(self.error, Problem)}


class UnknownRefusal(AmendsError):
    """No code here declares the refusal {name!r} that is recorded."""

    name: str


LARGEST_FACTS: Final = 64 * 1024
"""Bytes of facts that are kept of an error which is not a Refusal."""


def is_refusal(error: BaseException | None) -> TypeGuard[Refusal]:
    """Whether an error is a refusal, as `except` sees it: some objects lie about their class to isinstance."""
    return issubclass(type(error), Refusal)


def problem_of(error: BaseException) -> Problem:
    """An error's name, message and facts, as far as they can be told: it never fails."""
    if is_refusal(error):
        try:
            return refusal_problem(error, LARGEST_FACTS)
        except (Unstorable, TooLarge):
            return Problem(error.name, said(error))
    return Problem(kind(error), said(error), _facts(error) if isinstance(error, AmendsError) else {})


def refusal_problem(refusal: Refusal, limit: int) -> Problem:
    """A refusal as it is stored, with all its facts. Raises Unstorable or TooLarge if they would not come back."""
    facts = kept(refusal, type(refusal), f"the refusal {refusal.name}", limit)
    return Problem(refusal.name, said(refusal), facts.data)


def _facts(error: AmendsError) -> dict[str, JsonValue]:
    try:
        facts: dict[str, JsonValue] = to_jsonable_python(error.shown(), fallback=str)
        require_storable(cleaned(facts), "its facts", LARGEST_FACTS)
    except BaseException:
        return {}
    return facts


def error_text(problem: Problem) -> str:
    """A problem in the form in which DBOS stores a portable error."""
    return text({"name": problem.name, "message": problem.message, "code": None, "data": problem.facts})


def problem_in(stored: str) -> Problem:
    """The problem in an error that `error_text` or DBOS stored."""
    data = plain(stored)
    facts = data.get("data")
    return Problem(data["name"], data["message"], facts if isinstance(facts, dict) else {})


def refusal_of(problem: Problem) -> Refusal:
    """The refusal that was stored. Raises UnknownRefusal if its class is gone."""
    cls = refusal_class(problem.name)
    if cls is None:
        raise UnknownRefusal(problem.name)
    return load(problem.facts, cls)


def refusal_class(name: str) -> type[Refusal] | None:
    """The class of the refusals that are stored under a name."""
    return next((found for found in _refusals(Refusal) if found.name == name), None)


def _refusals(cls: type[Refusal]) -> list[type[Refusal]]:
    return [found for sub in cls.__subclasses__() for found in (sub, *_refusals(sub))]
