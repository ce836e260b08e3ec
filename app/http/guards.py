"""What is looked at before a request is handled: its size, where it comes from, and who sends it."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.problems import Unauthorised, Unconditional, answer, problem
from domain.errors import Invalid
from domain.event import Cause
from workflows.ids import new_id, require_id
from workflows.limits import MIB

OPEN_PATHS = ("/healthz", "/readyz", "/metrics")

_LABEL = re.compile(r"[\x20-\x7e]{1,200}")
_ETAG = re.compile(r'\*|(?:W/)?"?(\d{1,9})"?')
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


class Guards:
    """An ASGI middleware: refuses bodies that are too large, other websites' pages, and callers without a token."""

    def __init__(self, app: ASGIApp, tokens: Mapping[str, str], largest: int = MIB) -> None:
        self._app, self._tokens, self._largest = app, tokens, largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = _with_encoded_streams(scope)
        request = Request(scope)
        if refusal := _foreign_page(request):
            await refusal(scope, receive, send)
            return
        if self._tokens and request.url.path not in OPEN_PATHS:
            try:
                scope["state"] = scope.get("state", {}) | {"actor": self._actor(request)}
            except Unauthorised as error:
                await answer(error)(scope, receive, send)
                return
        await self._limited(scope, receive, send, request)

    def _actor(self, request: Request) -> str:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given:
            raise Unauthorised("Send Authorization: Bearer with one of the tokens in AMENDS_API_TOKENS.")
        known = [name for name, token in self._tokens.items() if hmac.compare_digest(token.encode(), given.encode())]
        if not known:
            raise Unauthorised("This token is not known here.")
        return known[0]

    async def _limited(self, scope: Scope, receive: Receive, send: Send, request: Request) -> None:
        too_large = problem(413, "too-large", "The body is too large", f"A body may have {self._largest} bytes.")
        length = request.headers.get("Content-Length", "0")
        if length.isdigit() and int(length) > self._largest:
            await too_large(scope, receive, send)
            return
        body, more = bytearray(), request.method in ("POST", "PUT", "PATCH", "DELETE")
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._largest:
                await too_large(scope, receive, send)
                return
        await self._app(scope, _replay(bytes(body), receive), send)


def _with_encoded_streams(scope: Scope) -> Scope:
    """Below /streams the path is read as it was sent: a stream's name may hold a slash, which is sent as %2F.

    The routes decode what they take of it (app/http/parameters.py).
    """
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return {**scope, "path": raw.decode("latin-1")} if raw.startswith(b"/streams/") else scope


def _replay(body: bytes, receive: Receive) -> Receive:
    """Give the body that was read, then whatever comes."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _foreign_page(request: Request) -> ASGIApp | None:
    """A browser on another website's behalf; other clients send no Origin."""
    origin = request.headers.get("Origin")
    if origin is None or _host(origin) == request.headers.get("Host"):
        return None
    return problem(
        403, "foreign-origin", "Another website's page may not act here", f"Origin {origin} is not this one."
    )


def _host(origin: str) -> str | None:
    """The host and port of an origin, None if it is no address at all."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def actor_of(request: Request) -> str:
    """Who acts: the token's name, else what X-Actor says, else nobody known."""
    known: str | None = getattr(request.state, "actor", None)
    return known or _label(request, "X-Actor") or "anonymous"


def cause_of(request: Request) -> Cause:
    """Where what this request does goes back to; without a correlation id of its own, it begins a story."""
    trace, id = request.headers.get("traceparent", ""), _request_id(request)
    return Cause(
        correlation_id=_label(request, "X-Correlation-ID"),
        causation_id=id,
        actor=actor_of(request),
        traceparent=trace if _TRACEPARENT.fullmatch(trace) else None,
    )


def _request_id(request: Request) -> str:
    """What caused what this request does: the request itself, by its idempotency key if it has one."""
    return f"request {key_of(request) or new_id()}"


def version_of(request: Request) -> int | None:
    """The version that `If-Match` names, None for `*`. Raises Unconditional without it, Invalid for anything else."""
    given = request.headers.get("If-Match")
    if given is None:
        raise Unconditional
    match = _ETAG.fullmatch(given.strip())
    if match is None:
        raise Invalid("If-Match", 'must be the ETag of the stream, such as "5", or *')
    return None if match[1] is None else int(match[1])


def key_of(request: Request) -> str | None:
    """The request's idempotency key, None if it has none. Raises Invalid."""
    key = request.headers.get("Idempotency-Key")
    if key is not None:
        require_id(key, "Idempotency-Key")
    return key


def _label(request: Request, header: str) -> str | None:
    value = request.headers.get(header)
    if value is not None and not _LABEL.fullmatch(value):
        raise Invalid(header, "must be 1 to 200 printable ASCII characters")
    return value
