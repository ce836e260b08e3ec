"""Receives the body of a request before it is handled: bounded in size, in time, and in the sum of all bodies."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from app.amends.http.problem_types import TOO_LARGE, TOO_SLOW, UNAVAILABLE
from app.amends.http.problems import problem_response

IDLE_SECONDS: Final = 15.0
"""How long the next bytes of a body may take."""
GRACE_SECONDS: Final = 15.0
"""How long the whole of it may take; each BYTES_A_SECOND that have come add a second."""
BYTES_A_SECOND: Final = 4096
LONGEST_SECONDS: Final = 300.0
SMALL: Final = 64 * 1024
"""Bytes of each body that the bounds below leave out: small bodies are received whatever others send."""
DRAIN_SECONDS: Final = 0.5
DRAIN_BYTES: Final = 256 * 1024
"""How long, and how many bytes of, a refused body is read after its answer: bytes that arrive at a closed connection
would make the client's system drop the answer."""
AT_ONCE: Final = 64
"""The bound for all bodies that are being received, in bodies of the largest size."""
OF_ONE: Final = 0.5
"""The part of that bound that one caller may use: one token, or without tokens one address."""


class ClientGone(Exception):
    """The client closed the connection before its body was there: nobody waits for an answer."""


class RequestRefused(Exception):
    """The request is not handled; `answer` says why."""

    def __init__(self, answer: Response) -> None:
        self.answer = answer


@dataclass
class BodyReceiver:
    """The bodies that one process receives; each has at most `largest` bytes."""

    largest: int
    held: Counter[str] = field(default_factory=Counter)
    """Bytes of each caller's bodies that are held now, without those of small ones."""

    async def receive(self, receive: Receive, length: str, caller: str) -> bytes:
        """The whole body. Raises RequestRefused and ClientGone."""
        if length.isdigit() and int(length) > self.largest:
            raise RequestRefused(self._too_large())
        body = bytearray()
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(min(IDLE_SECONDS, GRACE_SECONDS)) as limit:
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGone
                    self._add(body, message, caller)
                    if not message.get("more_body", False):
                        return bytes(body)
                    longest = min(GRACE_SECONDS + len(body) / BYTES_A_SECOND, LONGEST_SECONDS)
                    limit.reschedule(min(loop.time() + IDLE_SECONDS, began + longest))
        except TimeoutError as late:
            raise RequestRefused(_too_slow(len(body))) from late
        finally:
            self.held[caller] -= max(len(body) - SMALL, 0)
            if not self.held[caller]:
                del self.held[caller]

    def _add(self, body: bytearray, message: Message, caller: str) -> None:
        part: bytes = message.get("body", b"")
        if len(body) + len(part) > self.largest:
            raise RequestRefused(self._too_large())
        more = max(len(body) + len(part) - SMALL, 0) - max(len(body) - SMALL, 0)
        room = AT_ONCE * self.largest
        if more and self.held[caller] + more > room * OF_ONE:
            raise RequestRefused(_too_many("Your bodies"))
        if more and self.held.total() + more > room:
            raise RequestRefused(_too_many("The bodies"))
        body += part
        self.held[caller] += more

    def _too_large(self) -> Response:
        return problem_response(TOO_LARGE, f"A body may have {self.largest} bytes.", CLOSE)


CLOSE: Final = {"Connection": "close"}
"""Of an answer after which no more of the body is read."""


async def refuse_body(answer: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request whose body is not received to its end: no more of it is asked for, and the connection ends."""
    headers = Headers(scope=scope)
    if answer.headers.get("Connection") != "close":
        if headers.get("Content-Length", "0") == "0" and "Transfer-Encoding" not in headers:
            await answer(scope, receive, send)
            return
        answer.headers["Connection"] = "close"
    await send({"type": "http.response.start", "status": answer.status_code, "headers": answer.raw_headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    if headers.get("Expect", "").lower() != "100-continue" and answer.status_code != TOO_SLOW.status:
        await _drain(receive)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _drain(receive: Receive) -> None:
    came, more = 0, True
    with suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while more and came < DRAIN_BYTES:
                message = await receive()
                came += len(message.get("body", b""))
                more = message.get("more_body", False)


def _too_slow(came: int) -> Response:
    detail = f"{came} bytes of the body came in time, and not the whole of it."
    return problem_response(TOO_SLOW, detail, CLOSE)


def _too_many(whose: str) -> Response:
    detail = f"{whose} that are being sent here are too many together: send it again."
    return problem_response(UNAVAILABLE, detail, CLOSE | {"Retry-After": "1"})
