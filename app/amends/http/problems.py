"""Errors as RFC 9457 problems: here, and nowhere else, an error gets its type, and with it an HTTP status."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from pydantic_core import from_json, to_json
from starlette.exceptions import HTTPException

from app.amends.http import problem_types as types
from app.amends.http.error_types import (
    Behind,
    Busy,
    Forbidden,
    Malformed,
    TooManyFollowers,
    Unauthorised,
    Unconditional,
)
from app.amends.http.paths import route_path
from app.amends.http.problem_types import ProblemType
from app.amends.store.events.postgres_events import WentBack
from domain.amends.errors import (
    AmendsError,
    Conflict,
    Contended,
    Invalid,
    NotFound,
    Refusal,
    StaleVersion,
    TooLarge,
    Unavailable,
    Unstorable,
)
from domain.amends.vocabulary import Unreadable
from workflows.amends.client import NoCodeHere, StartsRefused
from workflows.amends.ports.event_store import Overtaken
from workflows.amends.values.codec import SHOWN
from workflows.amends.values.codec import wrong_fields as problems_of

log = logging.getLogger("amends.http")

MEDIA_TYPE: Final = "application/problem+json"
RETRY_SECONDS: Final = 1
HEADERS: Final = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": str(RETRY_SECONDS)}}
"""The headers of answers with these statuses."""

TYPES: Final[dict[type[AmendsError], ProblemType]] = {
    Invalid: types.INVALID,
    NotFound: types.NOT_FOUND,
    Malformed: types.MALFORMED_JSON,
    Unauthorised: types.UNAUTHORISED,
    Forbidden: types.FORBIDDEN,
    WentBack: types.HISTORY_WENT_BACK,
    StaleVersion: types.STALE,
    TooLarge: types.TOO_LARGE,
    Unstorable: types.UNSTORABLE,
    Unconditional: types.IF_MATCH_MISSING,
    Unreadable: types.UNREADABLE_EVENT,
    Unavailable: types.UNAVAILABLE,
    Overtaken: types.UNAVAILABLE,
    NoCodeHere: types.UNAVAILABLE,
    Contended: types.UNAVAILABLE,
    Busy: types.UNAVAILABLE,
    StartsRefused: types.BRAKED,
    TooManyFollowers: types.TOO_MANY_FOLLOWERS,
    Behind: types.BEHIND,
}
"""The types of errors; a subclass has that of its base. Conflicts and refusals have one each by their kind or name."""


def problem_type(error: type[AmendsError]) -> ProblemType | None:
    """The type of problem of an error class; None for one that nobody expects."""
    if issubclass(error, Conflict):
        return types.CONFLICT
    if issubclass(error, Refusal):
        return ProblemType(409, error.name, types.REFUSED)
    return next((TYPES[cls] for cls in error.__mro__ if cls in TYPES), None)


def problem_response(
    type: ProblemType, detail: str, headers: dict[str, str] | None = None, **members: Any
) -> JSONResponse:
    """An answer with a problem, and further members of it."""
    status, kind, title = type
    body = {"type": f"urn:amends:problem:{kind}", "title": title, "status": status, "detail": detail, **members}
    return JSONResponse(body, status, headers, MEDIA_TYPE)


def error_response(error: AmendsError) -> JSONResponse:
    """The problem for one of our own errors."""
    match error:
        case Invalid():
            cause = error.__cause__
            if isinstance(cause, ValidationError):
                return _invalid(problems_of(cause), cause.error_count())
            return _invalid([error], 1)
        case NotFound():
            return problem_response(types.NOT_FOUND._replace(title=f"No such {error.kind}"), str(error).strip())
        case Conflict():
            return problem_response(types.CONFLICT._replace(kind=f"conflict-{error.kind}"), str(error))
    found = problem_type(type(error))
    return (
        _internal(error)
        if found is None
        else problem_response(found, str(error), HEADERS.get(found.status), **_facts(error))
    )


def install_error_handlers(app: FastAPI, allowed: Callable[[str], str]) -> None:
    """Let an app answer errors as problems; `allowed` says with which methods a path may be asked."""

    @app.exception_handler(AmendsError)
    async def ours(_: Request, error: AmendsError) -> JSONResponse:
        return error_response(error)

    @app.exception_handler(RequestValidationError)
    async def request(_: Request, error: RequestValidationError) -> JSONResponse:
        found = error.errors()
        if found[0]["type"] == "json_invalid":  # its place is a byte of the body, and no field
            return error_response(Malformed(found[0]["ctx"]["error"]))
        return _invalid([_invalid_field(each) for each in found[:SHOWN]], len(found))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 400:
            return error_response(Malformed(error.detail))
        kind = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "http")
        path = route_path(request.scope)  # that of a request's `url` is read out of its Host header too
        detail = f"{request.method} {path}: {error.detail}"
        headers = {"Allow": allowed(path)} if error.status_code == 405 else dict(error.headers or {})
        return problem_response(ProblemType(error.status_code, kind, str(error.detail)), detail, headers)

    @app.exception_handler(Exception)
    async def other(_: Request, error: Exception) -> JSONResponse:
        return _internal(error)


def _invalid(found: list[Invalid], count: int) -> JSONResponse:
    """The problem that lists wrong fields; if there are more than were found, it says how many are not shown."""
    members: dict[str, Any] = {"errors": [{"field": each.field, "problem": each.problem} for each in found]}
    if count > len(found):
        members["not_shown"] = count - len(found)
    return problem_response(types.INVALID, str(found[0]), **members)


def _invalid_field(found: Any) -> Invalid:
    _, *path = found["loc"] if len(found["loc"]) > 1 else ("", *found["loc"])
    return Invalid(".".join(map(str, path)), str(found["msg"]).removeprefix("Value error, "))


def _internal(error: Exception) -> JSONResponse:
    log.error("Unexpected: %s", error, exc_info=error)
    return problem_response(types.INTERNAL, "It has been logged.")


def _facts(error: AmendsError) -> dict[str, Any]:
    """An error's facts as members of its problem, except where a problem has a member of that name itself.

    What JSON has no form for, in an error that nobody has declared for a saga, is its text.
    """
    return {
        name: from_json(to_json(value, inf_nan_mode="strings", fallback=str))
        for name, value in error.redacted_facts().items()
        if name not in ("type", "title", "status", "detail")
    }
