"""What the headers of a request say: who acts, on whose behalf, under which key, and about which version."""

from __future__ import annotations

import re
from typing import Final

from fastapi import Request

from app.amends.http.error_types import Unconditional
from app.amends.security.tokens import Caller
from domain.amends.errors import Invalid
from domain.amends.event import Cause
from workflows.amends.ids import new_id, require_id

_LABEL: Final = re.compile(r"[\x20-\x7e]{1,200}")
_ETAG: Final = re.compile(r'\*|(?:W/)?"?(\d{1,9})"?')
_TRACEPARENT: Final = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def actor_of(request: Request) -> str:
    """The name of the token, else what X-Actor says, else `anonymous`."""
    caller: Caller | None = getattr(request.state, "caller", None)
    return caller.name if caller else _label(request, "X-Actor") or "anonymous"


def has_known_actor(request: Request) -> bool:
    """Whether the actor is known by a token."""
    return getattr(request.state, "caller", None) is not None


def cause_of(request: Request) -> Cause:
    """The cause of what this request does; without a correlation id of its own, its decision begins one."""
    trace, id = request.headers.get("traceparent", ""), _request_id(request)
    return Cause(
        correlation_id=_label(request, "X-Correlation-ID"),
        causation_id=id,
        actor=actor_of(request),
        traceparent=trace if _TRACEPARENT.fullmatch(trace) else None,
    )


def _request_id(request: Request) -> str:
    """The causation id: the request itself, by its idempotency key if it has one."""
    return f"request {idempotency_key_of(request) or new_id()}"


def if_match_version(request: Request) -> int | None:
    """The version that `If-Match` names, None for `*`. Raises Unconditional without it, Invalid for anything else."""
    given = request.headers.get("If-Match")
    if given is None:
        raise Unconditional
    match = _ETAG.fullmatch(given.strip())
    if match is None:
        raise Invalid("If-Match", 'must be the ETag of the stream, such as "5", or *')
    return None if match[1] is None else int(match[1])


def idempotency_key_of(request: Request) -> str | None:
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
