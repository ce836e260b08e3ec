"""What was sent of a call over HTTP, tried with real sockets: refused, silent, broken off, behind TLS and a proxy."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from app.amends.providers.http import HttpProvider
from workflows.amends.call import AttemptContext, AttemptTimer, ProviderDown, SentCalls, attempt_context
from workflows.amends.providers import NoAnswer, Provider

Serves = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
FINE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


async def head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


async def breaks_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await head(reader)
    writer.close()


async def closes_at_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def front_door(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await head(reader)
    writer.write(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")


async def no_tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await head(reader)
    writer.write(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")


async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers one call, and then drops a connection that was kept."""
    await head(reader)
    writer.write(FINE)
    await head(reader)
    writer.close()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


@asynccontextmanager
async def serving(serve: Serves) -> AsyncIterator[int]:
    conversations = set[asyncio.Task[None]]()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        conversations.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            try:
                await serve(reader, writer)
                await reader.read()
            finally:
                writer.close()
                await writer.wait_closed()

    server = await asyncio.start_server(converse, "127.0.0.1")
    async with server:
        yield server.sockets[0].getsockname()[1]
        for each in conversations:
            each.cancel()
        await asyncio.gather(*conversations)


async def may_call(provider: str | None) -> None:
    """It may."""


async def ask(
    client: httpx.AsyncClient,
    provider: Provider,
    calls: int = 1,
    may: Callable[[str | None], Awaitable[None]] = may_call,
) -> SentCalls:
    """Call within an attempt of 0.3 s; what it has sent, and how it ended in `down`."""
    outbound, http = SentCalls(), HttpProvider(provider, client)

    async def attempt() -> None:
        attempt_context.set(AttemptContext(clock, may, outbound))
        for _ in range(calls):
            await http.request("POST", "/hold", json={"a": 1})

    def over() -> None:
        made.cancel()

    clock = AttemptTimer(0.3, over)
    made = asyncio.ensure_future(attempt())
    clock.start()
    try:
        await made
    except (NoAnswer, ProviderDown, asyncio.CancelledError):
        pass
    finally:
        clock.stop()
    return outbound


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@pytest.mark.parametrize("url", ["http://127.0.0.1:PORT", "http://no-such-host.invalid", "http://[100::1]:9"])
async def test_nothing_is_sent_to_whom_nobody_is(url: str) -> None:
    url = url.replace("PORT", str(free_port()))
    async with httpx.AsyncClient(base_url=url, timeout=0.2, trust_env=False) as client:
        outbound = await ask(client, Provider("stock"))
    assert not outbound.sent
    assert outbound.down is not None


async def test_nothing_is_sent_while_a_connection_is_waited_for() -> None:
    """A backlog that is full takes no connection: the step's time is over first, and the client's is not."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        held = [socket.socket() for _ in range(3)]
        for each in held:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as client:
            outbound = await ask(client, Provider("stock"))
        for each in held:
            each.close()
    assert not outbound.sent
    assert outbound.down is not None


async def test_nothing_is_sent_while_the_pool_has_no_connection() -> None:
    limits, timeout = httpx.Limits(max_connections=1), httpx.Timeout(30, pool=0.05)
    async with (
        serving(silent) as port,
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", limits=limits, timeout=timeout, trust_env=False
        ) as client,
    ):
        holds = asyncio.ensure_future(client.get("/"))
        await asyncio.sleep(0.05)
        outbound = await ask(client, Provider("stock"))
        holds.cancel()
        await asyncio.wait({holds})
    assert not outbound.sent
    assert outbound.down is not None


@pytest.mark.parametrize("serve", [closes_at_once, silent], ids=lambda how: how.__name__)
async def test_nothing_is_sent_before_tls_is_agreed_upon(serve: Serves) -> None:
    async with (
        serving(serve) as port,
        httpx.AsyncClient(base_url=f"https://127.0.0.1:{port}", timeout=30, trust_env=False) as client,
    ):
        outbound = await ask(client, Provider("stock"))
    assert not outbound.sent
    assert outbound.down is not None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # httpcore forgets a silent tunnel
@pytest.mark.parametrize("serve", [closes_at_once, no_tunnel, silent], ids=lambda how: how.__name__)
async def test_nothing_is_sent_through_a_proxy_that_opens_no_tunnel(serve: Serves) -> None:
    async with (
        serving(serve) as port,
        httpx.AsyncClient(
            base_url="https://example.invalid", proxy=f"http://127.0.0.1:{port}", timeout=0.2, trust_env=False
        ) as client,
    ):
        outbound = await ask(client, Provider("stock"))
    gc.collect()  # what was forgotten is found here, and not in the test that happens to run then
    assert not outbound.sent
    assert outbound.down is not None


@pytest.mark.parametrize("serve", [breaks_off, front_door, silent], ids=lambda how: how.__name__)
async def test_what_was_sent_and_not_answered_is_no_provider_that_is_down(serve: Serves) -> None:
    async with (
        serving(serve) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client,
    ):
        outbound = await ask(client, Provider("stock"))
    assert outbound.sent
    assert outbound.down is None


async def test_a_kept_connection_that_breaks_counts_as_sent() -> None:
    async with (
        serving(once) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client,
    ):
        await client.get("/")
        outbound = await ask(client, Provider("stock"))
    assert outbound.sent
    assert outbound.down is None


@pytest.mark.parametrize("before", ["the first byte", "the body"])
async def test_no_whole_request_is_sent_after_the_right_to_call_was_lost(before: str) -> None:
    """A process that was paused while it connected, or between the head and the body of a request, finds out."""
    asked = 0
    heard = bytearray()
    may = {"the first byte": 1, "the body": 2}[before]

    async def hears(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(4096):
            heard.extend(chunk)

    async def no_longer(provider: str | None) -> None:
        nonlocal asked
        asked += 1
        if asked > may:
            await asyncio.Event().wait()

    async with (
        serving(hears) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client,
    ):
        outbound = await ask(client, Provider("stock"), may=no_longer)
    assert asked == may + 1
    assert outbound.sent == (before == "the body")
    head, _, body = bytes(heard).partition(b"\r\n\r\n")
    assert not body
    assert bool(head) == (before == "the body")
