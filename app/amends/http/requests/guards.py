"""Guards in front of the API: the origin, host, token and body of a request are checked before it is handled."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from app.amends.http.error_types import Forbidden, Unauthorised
from app.amends.http.paths import mount_path, route_path
from app.amends.http.problem_types import FORBIDDEN, FOREIGN_ORIGIN, NOT_JSON, WRONG_HOST
from app.amends.http.problems import error_response, problem_response
from app.amends.http.requests.receiving import BodyReceiver, ClientGone, RequestRefused, refuse_body
from app.amends.http.requests.roles import require_role_of_route
from app.amends.security.loopback import is_loopback
from app.amends.security.tokens import OWN, Caller, Token, caller_of
from workflows.amends.values.limits import MIB

HEALTH = ("/healthz", "/readyz")
"""Paths that machines ask without a token."""

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+)(:\d*)?", re.ASCII)

AS_SENT = ("/streams/", "/views/", "/projections/")
"""Prefixes of paths whose names are decoded by their routes."""


@dataclass(frozen=True)
class AccessPolicy:
    """The rules by which requests are let in: with one of the `tokens`, or if there are none from this machine alone.

    Without tokens `hosts` are the names and addresses that a request may be sent to, beside those of the loopback: a
    web page that gives its own name to this machine's address sends that name. `open_to_all` are paths that take no
    token, `private` those below which the service alone may call itself, and `largest` bytes may be in a body.
    """

    tokens: Mapping[str, Token] = field(default_factory=dict, repr=False)
    hosts: Collection[str] = ()
    open_to_all: Collection[str] = HEALTH
    private: tuple[str, ...] = ()
    largest: int = MIB


class Guards:
    """An ASGI middleware that lets in what the policy allows, with a body that is JSON and within bounds.

    Decisions by path use that of the scope, as routing does, below the path at which the API is mounted: a request's
    `url` begins with its Host header, which may hold a path.
    """

    def __init__(self, app: FastAPI, policy: AccessPolicy) -> None:
        self._app, self._policy, self._bodies = app, policy, BodyReceiver(policy.largest)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope = _with_encoded_names(scope)
        request = Request(scope)
        try:
            self._let_in(request)
            body = await self._body(request, receive)
        except RequestRefused as refused:
            await refuse_body(refused.answer, scope, receive, send)
        except (Unauthorised, Forbidden) as error:
            await refuse_body(error_response(error), scope, receive, send)
        except ClientGone:
            return
        else:
            if scope["method"] == "HEAD":
                await self._head(scope, send)
            else:
                await self._app(scope, receive if body is None else _replay(body, receive), send)

    async def _head(self, scope: Scope, send: Send) -> None:
        """Answer HEAD as GET without its body; a response that goes on for ever is told that the client has gone."""
        sent, received = asyncio.Event(), False

        async def receive() -> Message:
            nonlocal received
            if not received:
                received = True
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
        """Raises RequestRefused and Unauthorised."""
        if refusal := self._foreign(request):
            raise RequestRefused(refusal)
        path = route_path(request.scope)
        if not self._policy.tokens or path in self._policy.open_to_all:
            return
        caller = self._caller(request)
        request.scope["state"] = request.scope.get("state", {}) | {"caller": caller}
        if path.startswith(self._policy.private) and caller.name != OWN:
            detail = "This is called by the service itself alone."
            raise RequestRefused(problem_response(FORBIDDEN, detail))

    def _foreign(self, request: Request) -> Response | None:
        """The refusal of a browser that acts for another website: other clients send no Origin, and the right host."""
        host, origin = request.headers.get("Host"), request.headers.get("Origin")
        if origin is not None and _host(origin) != host:
            detail = f"Origin {origin} is not this one."
            return problem_response(FOREIGN_ORIGIN, detail)
        path = route_path(request.scope)
        if self._policy.tokens or host is None or path in HEALTH or _is_ours(host, self._policy.hosts):
            return None
        detail = f"Host {host} is not this machine: without AMENDS_API_TOKENS it is called as localhost or 127.0.0.1."
        return problem_response(WRONG_HOST, detail)

    def _caller(self, request: Request) -> Caller:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given:
            raise Unauthorised("Send Authorization: Bearer with one of the tokens in AMENDS_API_TOKENS.")
        caller = caller_of(self._policy.tokens, given)
        if caller is None:
            raise Unauthorised("This token is not known here.")
        return caller

    async def _body(self, request: Request, receive: Receive) -> bytes | None:
        """The body of a request that may have one. Raises RequestRefused, Forbidden and ClientGone."""
        if request.method not in ("POST", "PUT", "PATCH", "DELETE") or route_path(request.scope) in HEALTH:
            return None
        require_role_of_route(request, self._app.routes)
        given = request.headers.get("Content-Type")
        if given is not None and given.partition(";")[0].strip().lower() != "application/json":
            raise RequestRefused(_not_json(given))
        body = await self._bodies.receive(receive, request.headers.get("Content-Length", "0"), _whose(request))
        if body and given is None:
            raise RequestRefused(_not_json("missing"))
        return body


def _whose(request: Request) -> str:
    """The caller that a body is counted for: the token's name, else the address."""
    caller: Caller | None = getattr(request.state, "caller", None)
    return f"name {caller.name}" if caller else f"address {request.client.host if request.client else None}"


def _not_json(given: str) -> Response:
    detail = f"Send the body as Content-Type: application/json; it is {given[:100]}."
    return problem_response(NOT_JSON, detail)


def _is_ours(host: str, names: Collection[str]) -> bool:
    """Whether a Host header names the loopback, or one of these."""
    found = _HOST.fullmatch(host)
    name = found[1].strip("[]").lower() if found else ""
    return name in names or is_loopback(name)


def _with_encoded_names(scope: Scope) -> Scope:
    """The scope whose path below /streams and the like is as it was sent: names there may hold an encoded slash.

    The routes decode what they take of it (app/amends/http/requests/parameters.py).
    """
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    sent = raw.decode("latin-1")
    return {**scope, "path": sent} if sent.removeprefix(mount_path(scope)).startswith(AS_SENT) else scope


def _replay(body: bytes, receive: Receive) -> Receive:
    """A receive channel that gives the body that was read, then whatever comes."""
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
