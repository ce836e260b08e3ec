"""Connections of clients: bounded in number, and the head of each request in size and time."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import time
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.amends.http.problem_types import HEAD_TOO_LARGE, MALFORMED_REQUEST, TOO_SLOW, ProblemType
from app.amends.http.problems import MEDIA_TYPE, problem_response

log = logging.getLogger("amends.http")

HEAD_BYTES: Final = 64 * 1024
HEADERS: Final = 200
"""How many headers a head may have: each takes far more room than its bytes."""
OVERHEAD: Final = 16
"""Bytes that may come for each byte of a chunked body, beside as many as a head may have: sizes and extensions."""
HEAD_SECONDS: Final = 30.0
TOO_LARGE: Final = f"The head of a request may have {HEAD_BYTES} bytes."
UNREAD_SECONDS: Final = 30
"""How long bytes may stay unacknowledged, or the receiver's window shut, before the connection is cut."""
SPARED: Final = 256
"""File descriptors that are kept for everything else: the database's connections, the provider's, files."""
WANTED: Final = 65_536
"""File descriptors that a server takes, if the system lets it."""
SAY_SECONDS: Final = 10.0
ABORT: Final = "amends.abort"
"""The extension of a request by which its connection is cut at once, whatever was not read."""


class ClientConnection(HttpToolsProtocol):
    """uvicorn's protocol with bounds."""

    most = 1000
    """How many connections one process has; `make_room` says it."""
    said_at = float("-inf")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head = self._headers = self._messages = self._rest = 0
        self._late: asyncio.TimerHandle | None = None
        self._refusal = (MALFORMED_REQUEST, "This is no HTTP request.")
        if len(self.connections) > self.most:
            self._no_room()
            return
        self._wait_for_head()

    def _no_room(self) -> None:
        if time.monotonic() - ClientConnection.said_at > SAY_SECONDS:
            ClientConnection.said_at = time.monotonic()
            log.error("There are %d connections, as many as this process has room for: new ones are cut.", self.most)
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._late is None and (self.cycle is None or self.cycle.response_complete):
            self._wait_for_head()
        message = self._messages
        super().data_received(data)
        if self._late is None and self._messages == message:
            self._rest += len(data)
            if self._rest > HEAD_BYTES:
                self._refuse(MALFORMED_REQUEST, "A body comes with far more than itself.")
        if self._late is not None:
            self._head += len(data)
            if self._head > HEAD_BYTES:
                self._refuse(HEAD_TOO_LARGE, TOO_LARGE)

    def on_headers_complete(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > HEAD_BYTES:
            self._refusal = (HEAD_TOO_LARGE, TOO_LARGE)
            raise ValueError(TOO_LARGE)  # which ends the parsing: see send_400_response
        self._head_came()
        super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers += 1
        if self._late is None:
            self._refusal = (MALFORMED_REQUEST, "Trailers after a body are not taken.")
        elif self._headers > HEADERS:
            self._refusal = (HEAD_TOO_LARGE, f"The head of a request may have {HEADERS} headers.")
        else:
            super().on_header(name, value)
            return
        raise ValueError(self._refusal[1])

    def on_body(self, body: bytes) -> None:
        self._rest -= OVERHEAD * len(body)
        super().on_body(body)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._headers = self._rest = 0
        self._messages += 1
        self._wait_for_head()
        self.scope["extensions"] = {ABORT: {"abort": self.transport.abort}}

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        self._refuse(*self._refusal)

    def _wait_for_head(self) -> None:
        self._head_came()
        self._head = 0
        self._late = self.loop.call_later(HEAD_SECONDS, self._is_late)

    def _head_came(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _is_late(self) -> None:
        if self._head:
            self._refuse(TOO_SLOW, f"The head of a request is sent within {HEAD_SECONDS:.0f} s.")
        self.transport.abort()

    def _refuse(self, type: ProblemType, detail: str) -> None:
        """Answer with a problem, if nothing else is being answered, and close."""
        self._head_came()
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(_problem(type, detail))
        self.transport.close()


def _problem(type: ProblemType, detail: str) -> bytes:
    written = bytes(problem_response(type, detail).body)
    head = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(written)}\r\nconnection: close\r\n\r\n"
    return STATUS_LINE[type.status] + head.encode() + written


def raise_connection_limit() -> int:
    """Raise the limit of file descriptors as far as the system allows, and size the number of connections by it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    limit = WANTED if soft == resource.RLIM_INFINITY else soft
    ClientConnection.most = max(limit - SPARED, limit // 4)
    return ClientConnection.most


def limit_unread_time(listening: socket.socket) -> None:
    """Let the system cut connections whose other end does not read; accepted connections inherit that."""
    option: Any = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux alone has it
    if option is not None:
        listening.setsockopt(socket.IPPROTO_TCP, option, UNREAD_SECONDS * 1000)
