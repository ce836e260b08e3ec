"""Errors as they are stored, and back: a refusal caught after a crash is the same refusal."""

from __future__ import annotations

from typing import Final

from pydantic import JsonValue
from pydantic_core import to_jsonable_python

from domain.amends.errors import AmendsError, Refusal, TooLarge, Unstorable
from workflows.amends.history.stored_error import Problem
from workflows.amends.redaction.sensitive import without_values
from workflows.amends.values.codec import json_text, load, parse_json, stored_value
from workflows.amends.values.printable import class_name, error_message
from workflows.amends.values.refusals import is_refusal, refusal_class
from workflows.amends.values.storable import require_storable

LARGEST_FACTS: Final = 64 * 1024
"""Bytes of facts that are kept of an error which is not a Refusal."""


class UnknownRefusal(AmendsError):
    """No code here declares the refusal {name!r} that is recorded, or several do and the saga's file imports none."""

    name: str


def problem_of(error: BaseException) -> Problem:
    """An error's name, message and facts, as far as they can be told: it never fails."""
    if is_refusal(error):
        try:
            return refusal_problem(error, LARGEST_FACTS)
        except (Unstorable, TooLarge):
            return Problem(error.name, error_message(error))
    return Problem(class_name(error), error_message(error), _facts(error) if isinstance(error, AmendsError) else {})


def refusal_problem(refusal: Refusal, limit: int) -> Problem:
    """A refusal as it is stored, with all its facts. Raises Unstorable or TooLarge if they would not come back."""
    facts = stored_value(refusal, type(refusal), f"the refusal {refusal.name}", limit)
    return Problem(refusal.name, error_message(refusal), facts.data)


def _facts(error: AmendsError) -> dict[str, JsonValue]:
    try:
        facts: dict[str, JsonValue] = to_jsonable_python(error.redacted_facts(), fallback=str)
        require_storable(without_values(facts), "its facts", LARGEST_FACTS)
    except BaseException:
        return {}
    return facts


def portable_error(problem: Problem) -> str:
    """A problem in the form in which DBOS stores a portable error."""
    return json_text({"name": problem.name, "message": problem.message, "code": None, "data": problem.facts})


def stored_problem(stored: str) -> Problem:
    """The problem in an error that `portable_error` or DBOS stored."""
    data = parse_json(stored)
    facts = data.get("data")
    return Problem(data["name"], data["message"], facts if isinstance(facts, dict) else {})


def load_refusal(problem: Problem, *modules: str) -> Refusal:
    """The refusal that was stored. Raises UnknownRefusal if its class is gone; see `refusal_class` for `modules`."""
    cls = refusal_class(problem.name, *modules)
    if cls is None:
        raise UnknownRefusal(problem.name)
    return load(problem.facts, cls)
