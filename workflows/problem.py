"""Errors as they are stored, and back: a refusal caught after a crash is the same refusal."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_jsonable_python

from domain.errors import AmendsError, Refusal
from workflows.codec import dump, load, plain, text
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


def problem_of(error: BaseException) -> Problem:
    """An error's name, message and facts, as they are stored."""
    if isinstance(error, Refusal):
        return Problem(error.name, str(error), dump(error, type(error)))
    if isinstance(error, AmendsError):
        return Problem(type(error).__name__, str(error), to_jsonable_python(error.shown(), fallback=str))
    return Problem(type(error).__name__, str(error) or type(error).__name__)


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
