"""The OpenAPI document: what FastAPI sees of the routes, and their declared responses, problems and security.

A route declares its responses (app/amends/http/openapi/responses.py); which type of problem an error has is decided in
app/amends/http/problems.py.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from app.amends.http import problem_types as types
from app.amends.http.error_types import Unconditional
from app.amends.http.openapi.answers.service import InvalidField
from app.amends.http.openapi.responses import EVENT_STREAM, Responses, responses_of
from app.amends.http.openapi.sagas import describe_sagas
from app.amends.http.problem_types import ProblemType
from app.amends.http.problems import MEDIA_TYPE, problem_type
from app.amends.http.requests.guards import HEALTH
from domain.amends.errors import AmendsError
from workflows.amends.saga import Saga

EVENT_STREAM_ABOUT: Final = (
    "Server-sent events. One without a type is an event of the feed, as a page has it; its id is its place. One of the "
    "type `history-went-back` has the data `{place, stands, detail}`: `place` is not on record any more, and what "
    "comes after `stands`, which is its id, follows."
)
REFS: Final = "#/components/schemas/"

OF_ALL: Final = [
    types.INVALID,
    types.UNAVAILABLE,
    types.FOREIGN_ORIGIN,
    types.TOO_SLOW,
    types.TOO_LARGE,
    types.WRONG_HOST,
    types.HEAD_TOO_LARGE,
    types.INTERNAL,
]
"""The problems that any route may end with."""
WITH_TOKEN: Final = [types.UNAUTHORISED, types.FORBIDDEN]
OF_POSTS: Final = [types.CONFLICT, types.NOT_JSON]
WITH_BODY: Final = [types.MALFORMED_JSON, types.TOO_LARGE, types.UNSTORABLE]

ID, LABEL = "^[A-Za-z0-9._:-]{1,128}$", "^[ -~]{1,200}$"
HEADERS_OF_POSTS: Final = {
    "Idempotency-Key": ("The same key and body act once, and get the same answer.", ID),
    "X-Correlation-ID": ("The id of everything that belongs together; without one a new one is made.", LABEL),
    "X-Actor": ("The actor, where no token names one.", LABEL),
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
        "errors": {
            "type": "array",
            "items": {"$ref": f"{REFS}InvalidField"},
            "description": "Of 422: each wrong field.",
        },
        "not_shown": {"type": "integer", "description": "Of 422: how many more wrong fields there are."},
    },
}


def openapi_document(
    app: FastAPI, routers: Iterable[APIRouter], guarded: bool, sagas: Sequence[Saga[Any, Any]] = ()
) -> dict[str, Any]:
    """The whole document; `guarded` where requests need a token. Each of the `sagas` has operations of its own."""
    made = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    routes = [each for router in routers for each in router.routes if isinstance(each, APIRoute)]
    schemas = OpenApiComponents(made.get("components", {}).get("schemas", {}))
    for route in routes:
        for method in (route.methods or ()) if route.include_in_schema else ():
            operation = made["paths"][route.path_format][method.lower()]
            _complete(operation, route, method, guarded, schemas)
    token = {"type": "http", "scheme": "bearer", "description": "One of the tokens in AMENDS_API_TOKENS."}
    made["components"] = {
        "schemas": schemas.all(),
        "responses": schemas.problems,
        "securitySchemes": {"token": token},
    }
    if sagas:
        describe_sagas(made, sagas)
    return made


class OpenApiComponents:
    """The components that operations refer to: schemas, and problems by status."""

    def __init__(self, known: dict[str, Any]) -> None:
        self._known = {name: schema for name, schema in known.items() if "ValidationError" not in name}
        self._known["Problem"] = PROBLEM
        self.problems: dict[str, Any] = {}
        self.of(InvalidField)

    def of(self, annotation: Any) -> dict[str, Any]:
        """The schema of a type; one with a name becomes a component, and is referred to."""
        schema = TypeAdapter(annotation).json_schema(ref_template=f"{REFS}{{model}}", mode="serialization")
        self._known |= schema.pop("$defs", {})
        if "title" not in schema or "properties" not in schema:
            return schema
        self._known[schema["title"]] = schema
        return {"$ref": f"{REFS}{schema['title']}"}

    def answers(self, problems: list[ProblemType]) -> dict[str, Any]:
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


def _complete(
    operation: dict[str, Any], route: APIRoute, method: str, guarded: bool, schemas: OpenApiComponents
) -> None:
    """Complete what FastAPI says of an operation."""
    declared = responses_of(route.endpoint)
    if declared.body is not None:
        operation["requestBody"]["content"]["application/json"]["schema"] = schemas.of(declared.body)
    success = operation["responses"][str(route.status_code or 200)]
    if declared.answer is not None:
        media, schema = _content(declared.answer, schemas)
        success["content"] = {media: {"schema": schema}}
    if declared.sends:
        success["headers"] = {name: {"schema": {"type": "string"}} for name in declared.sends}
    if declared.at_once is not None:
        media, schema = _content(declared.at_once, schemas)
        operation["responses"]["200"] = success | {"description": "At once", "content": {media: {"schema": schema}}}
    operation["responses"] = {
        **{status: answer for status, answer in operation["responses"].items() if status.startswith("2")},
        **schemas.answers(_problems(route, declared, method, "requestBody" in operation)),
    }
    open_ = route.path in HEALTH
    operation["security"] = [] if open_ else [{"token": []}] if guarded else [{"token": []}, {}]
    operation.setdefault("parameters", []).extend(_headers(declared, method))


def _problems(route: APIRoute, declared: Responses, method: str, has_body: bool) -> list[ProblemType]:
    """The problems that a route may end with: those of all, of its sort, and its own."""
    found = [*OF_ALL]
    found += [] if route.path in HEALTH else WITH_TOKEN
    found += WITH_BODY if has_body else []
    found += OF_POSTS if method == "POST" else []
    return found + [_type_of(each) for each in declared.problems]


def _type_of(declared: type[AmendsError] | ProblemType) -> ProblemType:
    found = declared if isinstance(declared, ProblemType) else problem_type(declared)
    assert found is not None, f"{declared} has no type of problem"
    return found


def _content(answer: Any, schemas: OpenApiComponents) -> tuple[str, dict[str, Any]]:
    """The media type of an answer, and its schema."""
    if answer == EVENT_STREAM:
        return answer, {"type": "string", "description": EVENT_STREAM_ABOUT}
    return (answer, {"type": "string"}) if isinstance(answer, str) else ("application/json", schemas.of(answer))


def _answer(status: int, kinds: dict[str, str]) -> dict[str, Any]:
    type = {"type": "string", "pattern": f"^urn:amends:problem:({'|'.join(kinds)})$"}
    schema = {"allOf": [{"$ref": f"{REFS}Problem"}, {"properties": {"type": type, "status": {"const": status}}}]}
    described = "; ".join(f"{title} (`{kind}`)" for kind, title in kinds.items())
    return {
        "description": described or HTTPStatus(status).phrase,
        "content": {MEDIA_TYPE: {"schema": schema}},
        **({"headers": {"Retry-After": {"schema": {"type": "string"}}}} if status == 503 else {}),
    }


def _headers(declared: Responses, method: str) -> list[dict[str, Any]]:
    """The headers of a request that a route reads."""
    named: dict[str, tuple[str, str | None]] = {**HEADERS_OF_POSTS} if method == "POST" else {}
    if Unconditional in declared.problems:
        named["If-Match"] = IF_MATCH
    if declared.answer == EVENT_STREAM:
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
