"""Bodies and arguments as JSON: numbers that JSON has no word for are none."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

import pytest
from fastapi import Request

from app.amends.cli.project import parse_json_argument
from app.amends.http.error_types import Malformed
from app.amends.http.requests.bodies import request_body
from app.amends.security.tokens import Caller, Role
from domain.amends.errors import Invalid
from domain.amends.sender import SENDER


def request_of(body: bytes, actor: str | None = None, token: str | None = None) -> Request:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    sent = [(b"x-actor", actor.encode())] if actor else []
    state = {"caller": Caller(token, Role.starter)} if token else {}
    return Request({"type": "http", "method": "POST", "headers": sent, "state": state}, receive)


@pytest.mark.parametrize("body", [b"[NaN]", b"[Infinity]", b"[-Infinity]"])
async def test_what_is_no_number_of_json_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        await request_body(request_of(body), list[float])
    with pytest.raises(Invalid, match="is not JSON"):
        parse_json_argument(body.decode())


@pytest.mark.parametrize("annotation", [list[float], list[Decimal]])
async def test_a_number_that_is_too_large_is_refused(annotation: Any) -> None:
    with pytest.raises(Invalid, match="too large"):
        await request_body(request_of(b"[1e400]"), annotation)


async def test_an_amount_is_a_text_in_a_body() -> None:
    assert await request_body(request_of(b'["90071992547409.93"]'), list[Decimal]) == [Decimal("90071992547409.93")]
    with pytest.raises(Invalid, match="written as a text") as refused:
        await request_body(request_of(b"[90071992547409.93]"), list[Decimal])
    assert refused.value.field == "0"


@dataclass(frozen=True)
class Asked:
    what: str
    by: Annotated[str, SENDER]


async def test_who_sends_an_input_is_filled_in() -> None:
    left_out, ann = b'{"what": "a book"}', "ann"
    assert await request_body(request_of(left_out, ann), Asked) == Asked("a book", "ann")
    assert await request_body(request_of(left_out, ann, token="olga"), Asked) == Asked("a book", "olga")
    assert await request_body(request_of(left_out), Asked) == Asked("a book", "anonymous")


async def test_whoever_has_a_token_names_nobody_else() -> None:
    bob = b'{"what": "a book", "by": "bob"}'
    assert await request_body(request_of(bob), Asked) == Asked("a book", "bob")
    assert await request_body(request_of(bob, token="bob"), Asked) == Asked("a book", "bob")
    with pytest.raises(Invalid, match="leave it out") as refused:
        await request_body(request_of(bob, token="ann"), Asked)
    assert refused.value.field == "by"
