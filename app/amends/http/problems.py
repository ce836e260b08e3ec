"""Errors as RFC 9457 problems: here, and nowhere else, an error gets an HTTP status."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from app.amends.http.errors import Behind, Busy, Forbidden, Malformed, TooManyFollowers, Unauthorised, Unconditional
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
from workflows.amends.ports.event_store import Overtaken
from workflows.amends.values.codec import SHOWN, problems

log = logging.getLogger("amends.http")

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 1


def problem(
    status: int, kind: str, title: str, detail: str, headers: dict[str, str] | None = None, **members: Any
) -> JSONResponse:
    """A problem; `kind` never changes for the same sort of problem."""
    body = {"type": f"urn:amends:problem:{kind}", "title": title, "status": status, "detail": detail, **members}
    return JSONResponse(body, status, headers, MEDIA_TYPE)


def invalid(found: list[Invalid], count: int) -> JSONResponse:
    """Which fields are wrong, and why; if there are more than those that were found, how many are not shown."""
    errors = [{"field": each.field, "problem": each.problem} for each in found]
    members: dict[str, Any] = {"errors": errors}
    if count > len(found):
        members["not_shown"] = count - len(found)
    return problem(*PLAIN[Invalid], str(found[0]), **members)


PLAIN: dict[type[AmendsError], tuple[int, str, str]] = {
    Invalid: (422, "invalid", "A value is not as it must be"),
    NotFound: (404, "not-found", "There is nothing of that name"),
    Malformed: (400, "malformed-json", "The body is not JSON"),
    Unauthorised: (401, "unauthorised", "Who are you?"),
    Forbidden: (403, "forbidden", "Not for you"),
    WentBack: (409, "history-went-back", "History went back"),
    StaleVersion: (412, "stale", "The stream has moved on"),
    TooLarge: (413, "too-large", "This takes more room than there is for it"),
    Unstorable: (422, "unstorable", "This cannot be stored"),
    Unconditional: (428, "if-match-missing", "Which version do you mean?"),
    Unreadable: (501, "unreadable-event", "An event cannot be read by this version"),
    Unavailable: (503, "unavailable", "Not now"),
    Overtaken: (503, "unavailable", "Not now"),
    Contended: (503, "unavailable", "Not now"),
    Busy: (503, "unavailable", "Not now"),
    TooManyFollowers: (503, "too-many-followers", "So many follow the feed already"),
    Behind: (503, "behind", "The read model is not that far yet"),
}
HEADERS = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": str(RETRY_SECONDS)}}


def answer(error: AmendsError) -> JSONResponse:
    """The problem for one of our own errors."""
    match error:
        case Invalid():
            cause = error.__cause__
            if isinstance(cause, ValidationError):
                return invalid(problems(cause), cause.error_count())
            return invalid([error], 1)
        case NotFound():
            return problem(404, "not-found", f"No such {error.kind}", str(error).strip())
        case Conflict():
            return problem(409, f"conflict-{error.kind}", "It does not fit what is stored", str(error))
        case Refusal():
            return problem(409, error.name, "Refused", str(error), **_facts(error))
    plain = next((PLAIN[cls] for cls in type(error).__mro__ if cls in PLAIN), None)
    if plain is None:
        log.error("Unexpected: %s", error, exc_info=error)
        return problem(500, "internal", "Something went wrong here", "It has been logged.")
    status, kind, title = plain
    return problem(status, kind, title, str(error), HEADERS.get(status), **_facts(error))


def _facts(error: AmendsError) -> dict[str, Any]:
    """An error's facts as members of its problem, except where a problem has a member of that name itself."""
    return {name: value for name, value in error.shown().items() if name not in ("type", "title", "status", "detail")}


def documented(error: type[AmendsError]) -> tuple[int, str, str]:
    """An error's status, its problem's type as a regular expression, and its title, for the OpenAPI document."""
    if issubclass(error, Conflict):
        return 409, "conflict-[a-z-]+", "It does not fit what is stored"
    if issubclass(error, Refusal):
        return 409, error.name, "Refused"
    return next(PLAIN[cls] for cls in error.__mro__ if cls in PLAIN)


def install(app: FastAPI, allowed: Callable[[str], str]) -> None:
    """Let an app answer errors as problems; `allowed` says with which methods a path may be asked."""

    @app.exception_handler(AmendsError)
    async def ours(_: Request, error: AmendsError) -> JSONResponse:
        return answer(error)

    @app.exception_handler(RequestValidationError)
    async def request(_: Request, error: RequestValidationError) -> JSONResponse:
        found = error.errors()
        if found[0]["type"] == "json_invalid":  # its place is a byte of the body, and no field
            return answer(Malformed(found[0]["ctx"]["error"]))
        return invalid([_invalid(each) for each in found[:SHOWN]], len(found))

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 400:
            return answer(Malformed(error.detail))
        kind = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "http")
        path = request.scope["path"]  # that of a request's `url` is read out of its Host header too
        detail = f"{request.method} {path}: {error.detail}"
        headers = {"Allow": allowed(path)} if error.status_code == 405 else dict(error.headers or {})
        return problem(error.status_code, kind, str(error.detail), detail, headers)

    @app.exception_handler(Exception)
    async def other(_: Request, error: Exception) -> JSONResponse:
        log.error("Unexpected: %s", error, exc_info=error)
        return problem(500, "internal", "Something went wrong here", "It has been logged.")


def _invalid(found: Any) -> Invalid:
    _, *path = found["loc"] if len(found["loc"]) > 1 else ("", *found["loc"])
    return Invalid(".".join(map(str, path)), str(found["msg"]).removeprefix("Value error, "))
