"""What routes say of their responses, for the OpenAPI document: `@responds(answers.Saga, NotFound)` above a route."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from app.amends.http.problem_types import ProblemType
from domain.amends.errors import AmendsError

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

EVENT_STREAM: Final = "text/event-stream"


@dataclass(frozen=True)
class Responses:
    """The responses of one route; an answer that is not JSON is named by its media type."""

    answer: Any
    problems: tuple[type[AmendsError] | ProblemType, ...]
    body: Any
    sends: tuple[str, ...]
    at_once: Any
    """The answer with status 200 of a route that has another status as a rule."""


UNDECLARED: Final = Responses(None, (), None, (), None)
"""Of a route without `responds`: what FastAPI sees, and the problems that any route may end with."""


def responds(
    answer: Any,
    *problems: type[AmendsError] | ProblemType,
    body: Any = None,
    sends: tuple[str, ...] = (),
    at_once: Any = None,
) -> Callable[[Endpoint], Endpoint]:
    """Declare what a route answers with, which problems of its own it may end with, and which headers it sends.

    `body` is the type of a request body that the route reads itself, `at_once` what it answers with status 200 where it
    has another status as a rule.
    """

    def note(endpoint: Endpoint) -> Endpoint:
        vars(endpoint)["__responses__"] = Responses(answer, problems, body, sends, at_once)
        return endpoint

    return note


def responses_of(endpoint: Callable[..., Any]) -> Responses:
    """What a route has declared."""
    declared: Responses = getattr(endpoint, "__responses__", UNDECLARED)
    return declared
