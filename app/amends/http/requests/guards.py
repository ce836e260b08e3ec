"""What is looked at before a request is handled: where it comes from, who sends it, and what it brings."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from app.amends.http.errors import Forbidden, Unauthorised, Unconditional
from app.amends.http.problems import answer, problem
from app.amends.http.requests.receiving import Bodies, Gone, Refused, refuse
from app.amends.http.requests.roles import require_role
from app.amends.security.loopback import is_loopback
from app.amends.security.tokens import OWN, Caller, Token, caller_of
from domain.amends.errors import Invalid
from domain.amends.event import Cause
from workflows.amends.ids import new_id, require_id
from workflows.amends.values.limits import MIB

HEALTH = ("/healthz", "/readyz")
"""What machines ask that know no token."""

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:\d*)?", re.ASCII)
_LABEL = re.compile(r"[\x20-\x7e]{1,200}")
_ETAG = re.compile(r'\*|(?:W/)?"?(\d{1,9})"?')
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

AS_SENT = (b"/streams/", b"/views/", b"/projections/")
"""Where names in paths are decoded by their routes."""


@dataclass(frozen=True)
class Door:
    """Who is let in: callers with one of the `tokens`, or if there is none whoever speaks to this machine itself.

    `hosts` are the names and addresses that a request may be sent to then, beside those of the loopback; a web page
    that gives its own name to this machine's address sends that. `open_to_all` are paths that take no token, and
    `largest` is how many bytes a body may have. Below the paths of
    `private` the service itself alone is let in.
    """

    tokens: Mapping[str, Token] = field(default_factory=dict, repr=False)
    hosts: Collection[str] = ()
    open_to_all: Collection[str] = HEALTH
    private: tuple[str, ...] = ()
    largest: int = MIB


class Guards:
    """An ASGI middleware: lets in who may come in, with a body that is JSON and has bounds.

    What is decided by a path goes by that of the scope, as routes do: a request's `url` begins with what its Host
    header says, and that may hold a path.
    """

    def __init__(self, app: FastAPI, door: Door) -> None:
        self._app, self._door, self._bodies = app, door, Bodies(door.largest)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = _with_encoded_names(scope)
        request = Request(scope)
        try:
            self._let_in(request)
            body = await self._body(request, receive)
        except Refused as refused:
            await refuse(refused.answer, scope, receive, send)
        except (Unauthorised, Forbidden) as error:
            await refuse(answer(error), scope, receive, send)
        except Gone:
            return
        else:
            if scope["method"] == "HEAD":
                await self._head(scope, send)
            else:
                await self._app(scope, receive if body is None else _replay(body, receive), send)

    async def _head(self, scope: Scope, send: Send) -> None:
        """Answer HEAD as GET without its body: whoever would go on sending is told that nobody listens any more."""
        sent, asked = asyncio.Event(), False

        async def receive() -> Message:
            nonlocal asked
            if not asked:
                asked = True
                return {"type": "http.request", "body": b"", "more_body": False}
            await sent.wait()
            return {"type": "http.disconnect"}

        async def head_only(message: Message) -> None:
            if message["type"] != "http.response.body":
                await send(message)
            elif not sent.is_set():
                sent.set()
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app({**scope, "method": "GET"}, receive, head_only)

    def _let_in(self, request: Request) -> None:
        """Raises Refused and Unauthorised."""
        if refusal := self._foreign(request):
            raise Refused(refusal)
        if not self._door.tokens or request.scope["path"] in self._door.open_to_all:
            return
        caller = self._caller(request)
        request.scope["state"] = request.scope.get("state", {}) | {"caller": caller}
        if request.scope["path"].startswith(self._door.private) and caller.name != OWN:
            detail = "This is called by the service itself alone."
            raise Refused(problem(403, "forbidden", "Not for you", detail))

    def _foreign(self, request: Request) -> Response | None:
        """A browser that acts for another website: other clients send no Origin, and the name that they mean."""
        host, origin = request.headers.get("Host"), request.headers.get("Origin")
        if origin is not None and _host(origin) != host:
            detail = f"Origin {origin} is not this one."
            return problem(403, "foreign-origin", "Another website's page may not act here", detail)
        path = request.scope["path"]
        if self._door.tokens or host is None or path in HEALTH or _is_ours(host, self._door.hosts):
            return None
        detail = f"Host {host} is not this machine: without AMENDS_API_TOKENS it is called as localhost or 127.0.0.1."
        return problem(421, "wrong-host", "Whom do you mean?", detail)

    def _caller(self, request: Request) -> Caller:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given:
            raise Unauthorised("Send Authorization: Bearer with one of the tokens in AMENDS_API_TOKENS.")
        caller = caller_of(self._door.tokens, given)
        if caller is None:
            raise Unauthorised("This token is not known here.")
        return caller

    async def _body(self, request: Request, receive: Receive) -> bytes | None:
        """The body of a request that has one, if its caller may make it. Raises Refused, Forbidden and Gone."""
        if request.method not in ("POST", "PUT", "PATCH", "DELETE") or request.scope["path"] in HEALTH:
            return None
        require_role(request, self._app.routes)
        given = request.headers.get("Content-Type")
        if given is not None and given.partition(";")[0].strip().lower() != "application/json":
            raise Refused(_not_json(given))
        body = await self._bodies.take_in(receive, request.headers.get("Content-Length", "0"), _whose(request))
        if body and given is None:
            raise Refused(_not_json("missing"))
        return body


def _whose(request: Request) -> str:
    """Whom a body is counted for: the token's name, else where it comes from."""
    caller: Caller | None = getattr(request.state, "caller", None)
    return f"name {caller.name}" if caller else f"address {request.client.host if request.client else None}"


def _not_json(given: str) -> Response:
    detail = f"Send the body as Content-Type: application/json; it is {given[:100]}."
    return problem(415, "not-json", "The body is not said to be JSON", detail)


def _is_ours(host: str, names: Collection[str]) -> bool:
    """Whether a Host header names the loopback, or one of these."""
    found = _HOST.fullmatch(host)
    name = found[1].strip("[]").lower() if found else ""
    return name in names or is_loopback(name)


def _with_encoded_names(scope: Scope) -> Scope:
    """Below /streams and the like the path is read as it was sent: what is named there may hold whatever is sent
    percent-encoded, such as a slash.

    The routes decode what they take of it (app/amends/http/requests/parameters.py).
    """
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return {**scope, "path": raw.decode("latin-1")} if raw.startswith(AS_SENT) else scope


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


def _host(origin: str) -> str | None:
    """The host and port of an origin, None if it is no address at all."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


def actor_of(request: Request) -> str:
    """Who acts: the token's name, else what X-Actor says, else nobody known."""
    caller: Caller | None = getattr(request.state, "caller", None)
    return caller.name if caller else _label(request, "X-Actor") or "anonymous"


def is_known(request: Request) -> bool:
    """Whether who acts is known by a token."""
    return getattr(request.state, "caller", None) is not None


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
