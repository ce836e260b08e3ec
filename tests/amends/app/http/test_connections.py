"""Strangers at the socket: heads without an end, too slow, too large, too many, and readers that never read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from app.amends.http.requests import connections
from app.amends.http.requests.connections import HEAD_BYTES, ClientConnection, limit_unread_time, raise_connection_limit
from app.amends.http.routes import live_followers
from app.amends.http.routes.live_followers import Followers, LiveResponse
from app.amends.server.serve import bind_socket

GET = b"GET /fine HTTP/1.1\r\nHost: x\r\n\r\n"
STARTED = b"GET /fine HTTP/1.1\r\nHost: x\r\n"
followers = Followers(5)


async def endless() -> AsyncGenerator[bytes, None]:
    while True:
        yield b"x" * 65_536


async def api(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["path"] == "/live":
        await LiveResponse(endless(), followers, {})(scope, receive, send)
        return
    if scope["path"] == "/waits":
        await asyncio.Event().wait()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    class Server(uvicorn.Server):
        @property
        def capture_signals(self) -> Any:
            return suppress

    listening = bind_socket("127.0.0.1", 0)
    config = uvicorn.Config(api, http=ClientConnection, ws="none", lifespan="off", timeout_graceful_shutdown=1)
    server = Server(config)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        while not server.started:
            await asyncio.sleep(0.01)
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await task
        listening.close()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A client's connection, which is gone at the end, whatever was not sent or read of it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1000)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def talk(port: int, *sent: bytes) -> tuple[int, dict[str, Any]]:
    """Send, and read until the other end closes; the status and the problem of the last answer."""
    async with connected(port) as (reader, writer), asyncio.timeout(20):
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            for part in sent:
                writer.write(part)
                await writer.drain()
                if part == GET:
                    await reader.readuntil(b"ok")
        answered = b""
        with suppress(ConnectionError):
            while part := await reader.read(65_536):
                answered += part
    *_, last = answered.split(b"HTTP/1.1 ")
    head, _, body = last.partition(b"\r\n\r\n")
    return int(head[:3] or b"0"), json.loads(body) if b"problem+json" in head else {}


@pytest.mark.parametrize(
    "before", [b"", GET, b"GET /waits HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["first", "kept", "pipelined"]
)
@pytest.mark.parametrize("part", [b"a", b"a: b\r\n"], ids=["one header", "many"])
async def test_a_head_has_a_bound(before: bytes, part: bytes) -> None:
    async with serving() as port:
        status, problem = await talk(port, before, STARTED + b"y: ", *[part * 4096] * 40)
        if b"waits" in before:
            assert status == 0, "it is cut: what was asked before is not answered any more"
        else:
            assert (status, problem["type"]) == (431, "urn:amends:problem:head-too-large")


async def test_a_head_that_comes_as_a_whole_has_the_same_bound() -> None:
    async with serving() as port:
        fits = STARTED + b"y: " + b"z" * (HEAD_BYTES - 1000) + b"\r\nconnection: close\r\n\r\n"
        assert (await talk(port, fits))[0] == 200
        status, problem = await talk(port, STARTED + b"y: " + b"z" * HEAD_BYTES + b"\r\n\r\n")
        assert (status, problem["type"]) == (431, "urn:amends:problem:head-too-large")
        assert (await talk(port, b"\x00\x01 nonsense\r\n\r\n"))[1]["type"] == "urn:amends:problem:malformed-request"


@pytest.mark.parametrize("before", [b"", GET], ids=["first", "kept"])
async def test_a_head_has_a_time(before: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.5)
    async with serving() as port:
        status, problem = await talk(port, before, STARTED)
        assert (status, problem["type"]) == (408, "urn:amends:problem:too-slow")
        assert (await talk(port, b""))[0] == 0, "nor does one wait for ever for somebody who says nothing"
        halves = await asyncio.gather(*(talk(port, STARTED) for _ in range(200)))
        assert {status for status, _ in halves} <= {408, 0}, "what a busy server had not read yet is cut"
        assert (await talk(port, STARTED + b"connection: close\r\n\r\n"))[0] == 200


async def test_connections_are_no_more_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ClientConnection, "most", 3)
    async with serving() as port, connected(port), connected(port):
        async with connected(port):
            assert (await talk(port, GET))[0] == 0
        async with asyncio.timeout(10):
            while (await talk(port, STARTED + b"connection: close\r\n\r\n"))[0] != 200:
                pass


def test_a_server_leaves_room_for_everything_else() -> None:
    assert raise_connection_limit() >= 256
    assert ClientConnection.most == raise_connection_limit()


async def test_a_follower_who_does_not_read_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_followers, "UNREAD_SECONDS", 0.3)
    async with serving() as port, connected(port) as (reader, writer):
        writer.write(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        await writer.drain()
        async with asyncio.timeout(20):
            await reader.readline()
            assert followers.count == 1
            while followers.count:
                await asyncio.sleep(0.01)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):  # it was cut, not ended
                while True:
                    await reader.readexactly(1000)


async def test_a_follower_who_goes_away_is_gone() -> None:
    async with serving() as port, connected(port) as (_, writer):
        writer.write(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(20):
            while not followers.count:
                await asyncio.sleep(0.01)
            writer.transport.abort()
            while followers.count:
                await asyncio.sleep(0.01)


async def test_the_system_cuts_whoever_does_not_read_any_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "UNREAD_SECONDS", 1)
    monkeypatch.setattr(live_followers, "UNREAD_SECONDS", 1000)
    listening = bind_socket("127.0.0.1", 0)
    limit_unread_time(listening)
    sent = asyncio.get_running_loop().create_future()

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                writer.write(b"x" * 65_536)
                await writer.drain()
        except OSError as error:
            sent.set_result(error)

    async with (
        await asyncio.start_server(answer, sock=listening),
        connected(listening.getsockname()[1]),
        asyncio.timeout(30),
    ):
        assert isinstance(await sent, OSError)


CHUNKED = b"POST /fine HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        [CHUNKED + b"0\r\n", *[b"Abcdef: 1\r\n" * 1000] * 100],
        [CHUNKED + b"0\r\nA: ", *[b"x" * 65_536] * 100],
        [CHUNKED + b"1;", *[b"a" * 65_536] * 100],
        [CHUNKED.replace(b"fine", b"waits") + b"0\r\nA: ", *[b"x" * 65_536] * 100],
        [b"GET /fine HTTP/1.1\r\nHost: x\r\n", *[b"A:\r\n" * 100] * 10],
    ],
    ids=["trailers", "a trailer", "an extension", "while it waits", "headers"],
)
async def test_what_comes_beside_a_body_has_a_bound_too(sent: list[bytes]) -> None:
    async with serving() as port:
        async with connected(port) as (_, writer), asyncio.timeout(20):
            with pytest.raises(ConnectionError):
                for part in (*sent, *[b"x" * 1000] * 1000):
                    writer.write(part)
                    await writer.drain()
                    await asyncio.sleep(0)
        assert (await talk(port, STARTED + b"connection: close\r\n\r\n"))[0] == 200


async def test_a_body_in_the_smallest_chunks_is_taken() -> None:
    async with serving() as port:
        chunks = b"1\r\nx\r\n" * 200_000 + b"0\r\n\r\n"
        async with connected(port) as (reader, writer), asyncio.timeout(20):
            writer.write(CHUNKED.replace(b"Host", b"Connection: close\r\nHost") + chunks)
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200")
