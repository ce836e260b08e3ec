"""The OpenAPI document: what FastAPI sees of the routes, and every answer that they give, with problems and security.

A route says what it answers with, and which errors it may end with beside those that any route may (`tells`); what
status and what type of problem an error has is looked up where it is decided (app/amends/http/problems.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, TypeVar

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from app.amends.http.errors import Malformed, Unauthorised, Unconditional
from app.amends.http.openapi.answers import Wrong
from app.amends.http.problems import MEDIA_TYPE, documented
from app.amends.http.requests.guards import HEALTH
from domain.amends.errors import AmendsError, Conflict, Invalid, TooLarge, Unavailable, Unstorable

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
Problem = tuple[int, str, str]
"""A status, a type after `urn:amends:problem:` as a regular expression, and a title."""

EVENT_STREAM: Final = "text/event-stream"
SENT: Final = (
    "Server-sent events. One without a type is an event of the feed, as a page has it; its id is its place. One of the "
    "type `history-went-back` has the data `{place, stands, detail}`: `place` is not on record any more, and what "
    "comes after `stands`, which is its id, follows."
)
REFS: Final = "#/components/schemas/"

ANYWHERE: Final[list[Problem]] = [
    *map(documented, (Invalid, Unavailable)),
    (403, "foreign-origin", "Another website's page may not act here"),
    (408, "too-slow", "The request came too slowly"),
    (413, "too-large", "The request is too large"),
    (421, "wrong-host", "This server is not known by that name"),
    (431, "head-too-large", "The head of the request is too large"),
    (500, "internal", "Something went wrong here"),
]
WITH_TOKEN: Final[list[Problem]] = [documented(Unauthorised), (403, "forbidden", "This token may not do that")]
OF_POSTS: Final[list[Problem]] = [documented(Conflict), (415, "not-json", "The body is not sent as JSON")]
WITH_BODY: Final[list[Problem]] = [*map(documented, (Malformed, TooLarge, Unstorable))]

ID, LABEL = "^[A-Za-z0-9._:-]{1,128}$", "^[ -~]{1,200}$"
HEADERS_OF_POSTS: Final = {
    "Idempotency-Key": ("The same key and body act once, and get the same answer.", ID),
    "X-Correlation-ID": ("Of the whole story that this belongs to; else one is made.", LABEL),
    "X-Actor": ("Who acts, where no token says so.", LABEL),
}
IF_MATCH: Final = ("The version that you have seen, the ETag of the stream; * for any.", r'^(\*|(W/)?"?[0-9]{1,9}"?)$')
LAST_EVENT_ID: Final = ("The id of the last event that you have seen: the next one follows.", None)

PROBLEM: Final = {
    "type": "object",
    "description": "A problem in the sense of RFC 9457. Its type is stable; further members are the facts.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What to do about it."},
        "errors": {"type": "array", "items": {"$ref": f"{REFS}Wrong"}, "description": "Of 422: each wrong field."},
        "not_shown": {"type": "integer", "description": "Of 422: how many more wrong fields there are."},
    },
}


@dataclass(frozen=True)
class Told:
    """What a route says of its answers; one that is not JSON is told by its media type."""

    answer: Any
    problems: tuple[type[AmendsError] | Problem, ...]
    body: Any
    sends: tuple[str, ...]


NOTHING: Final = Told(None, (), None, ())
"""Of a route that tells nothing: what FastAPI sees stands, beside the problems that any route may end with."""


def tells(
    answer: Any, *problems: type[AmendsError] | Problem, body: Any = None, sends: tuple[str, ...] = ()
) -> Callable[[Endpoint], Endpoint]:
    """Say what a route answers with, how it may end otherwise, the body that it reads itself, and the headers sent."""

    def note(endpoint: Endpoint) -> Endpoint:
        vars(endpoint)["__told__"] = Told(answer, problems, body, sends)
        return endpoint

    return note


def described(app: FastAPI, routers: Iterable[APIRouter], guarded: bool) -> dict[str, Any]:
    """The whole document; `guarded` where requests need a token."""
    document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    routes = [each for router in routers for each in router.routes if isinstance(each, APIRoute)]
    schemas = Schemas(document.get("components", {}).get("schemas", {}))
    for route in routes:
        for method in (route.methods or ()) if route.include_in_schema else ():
            operation = document["paths"][route.path_format][method.lower()]
            _describe(operation, route, method, guarded, schemas)
    token = {"type": "http", "scheme": "bearer", "description": "One of the tokens in AMENDS_API_TOKENS."}
    document["components"] = {
        "schemas": schemas.all(),
        "responses": schemas.problems,
        "securitySchemes": {"token": token},
    }
    return document


class Schemas:
    """The schemas, and the problems by status, that operations refer to."""

    def __init__(self, known: dict[str, Any]) -> None:
        self._known = {name: schema for name, schema in known.items() if "ValidationError" not in name}
        self._known["Problem"] = PROBLEM
        self.problems: dict[str, Any] = {}
        self.of(Wrong)

    def of(self, annotation: Any) -> dict[str, Any]:
        """The schema of a type; what has a name of its own is referred to."""
        schema = TypeAdapter(annotation).json_schema(ref_template=f"{REFS}{{model}}", mode="serialization")
        self._known |= schema.pop("$defs", {})
        if "title" not in schema or "properties" not in schema:
            return schema
        self._known[schema["title"]] = schema
        return {"$ref": f"{REFS}{schema['title']}"}

    def answers(self, problems: list[Problem]) -> dict[str, Any]:
        """References to the problems by status."""
        grouped: defaultdict[int, dict[str, str]] = defaultdict(dict)
        for status, kind, title in problems:
            grouped[status].setdefault(kind, title)
        return {str(status): self._answer(status, grouped[status]) for status in sorted(grouped)}

    def _answer(self, status: int, kinds: dict[str, str]) -> dict[str, Any]:
        name = "-or-".join([str(status), *kinds]).replace("[a-z-]+", "any").replace("-or-", "-", 1)
        self.problems[name] = _answer(status, kinds)
        return {"$ref": f"#/components/responses/{name}"}

    def all(self) -> dict[str, Any]:
        """By name."""
        return dict(sorted(self._known.items()))


def _describe(operation: dict[str, Any], route: APIRoute, method: str, guarded: bool, schemas: Schemas) -> None:
    """Complete what FastAPI says of a route."""
    told: Told = getattr(route.endpoint, "__told__", NOTHING)
    if told.body is not None:
        operation["requestBody"]["content"]["application/json"]["schema"] = schemas.of(told.body)
    success = operation["responses"][str(route.status_code or 200)]
    if told.answer is not None:
        media, schema = _content(told.answer, schemas)
        success["content"] = {media: {"schema": schema}}
    if told.sends:
        success["headers"] = {name: {"schema": {"type": "string"}} for name in told.sends}
    operation["responses"] = {
        **{status: answer for status, answer in operation["responses"].items() if status.startswith("2")},
        **schemas.answers(_problems(route, told, method, "requestBody" in operation)),
    }
    open_ = route.path in HEALTH
    operation["security"] = [] if open_ else [{"token": []}] if guarded else [{"token": []}, {}]
    operation.setdefault("parameters", []).extend(_headers(told, method))


def _problems(route: APIRoute, told: Told, method: str, has_body: bool) -> list[Problem]:
    """How a route may end: as any, as any of its sort, and as itself alone."""
    found = [*ANYWHERE]
    found += [] if route.path in HEALTH else WITH_TOKEN
    found += WITH_BODY if has_body else []
    found += OF_POSTS if method == "POST" else []
    return found + [each if isinstance(each, tuple) else documented(each) for each in told.problems]


def _content(answer: Any, schemas: Schemas) -> tuple[str, dict[str, Any]]:
    """The media type of an answer, and its schema."""
    if answer == EVENT_STREAM:
        return answer, {"type": "string", "description": SENT}
    return (answer, {"type": "string"}) if isinstance(answer, str) else ("application/json", schemas.of(answer))


def _answer(status: int, kinds: dict[str, str]) -> dict[str, Any]:
    types = {"type": "string", "pattern": f"^urn:amends:problem:({'|'.join(kinds)})$"}
    schema = {"allOf": [{"$ref": f"{REFS}Problem"}, {"properties": {"type": types, "status": {"const": status}}}]}
    described = "; ".join(f"{title} (`{kind}`)" for kind, title in kinds.items())
    return {
        "description": described or HTTPStatus(status).phrase,
        "content": {MEDIA_TYPE: {"schema": schema}},
        **({"headers": {"Retry-After": {"schema": {"type": "string"}}}} if status == 503 else {}),
    }


def _headers(told: Told, method: str) -> list[dict[str, Any]]:
    """The request's headers that mean something to a route."""
    named: dict[str, tuple[str, str | None]] = {**HEADERS_OF_POSTS} if method == "POST" else {}
    if Unconditional in told.problems:
        named["If-Match"] = IF_MATCH
    if told.answer == EVENT_STREAM:
        named["Last-Event-ID"] = LAST_EVENT_ID
    return [
        {
            "name": name,
            "in": "header",
            "required": name == "If-Match",
            "description": description,
            "schema": {"type": "string", **({"pattern": pattern} if pattern else {})},
        }
        for name, (description, pattern) in named.items()
    ]
