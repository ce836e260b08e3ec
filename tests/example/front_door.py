"""A front door between a server and its provider: it lets calls through, or does what front doors do in an outage."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import Counter
from types import TracebackType
from typing import Literal, Self

Mode = Literal["open", "refuses", "unavailable", "silent"]
UNAVAILABLE = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"


class FrontDoor:
    """Runs in a thread of its own; `calls` counts what it was asked in each mode, `most` how many at a time."""

    def __init__(self, port: int) -> None:
        self._upstream, self.port = port, 0
        self._mode: Mode = "open"
        self.calls: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self._now: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/sandbox"

    def turn(self, mode: Mode) -> None:
        """What it does from now on; connections that are open are broken off."""
        self._run(self._turn(mode))

    def _run(self, what: object) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(30)  # type: ignore[arg-type]

    async def _turn(self, mode: Mode) -> None:
        await self._close()
        self._mode = mode
        if mode != "refuses":
            await self._listen()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is None:
            return
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await self._server.wait_closed()
        self._server = None
        while self._writers:
            await asyncio.sleep(0.01)

    async def _end(self) -> None:
        """Close, and leave nothing behind of connections that came in just then."""
        await self._close()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await asyncio.sleep(0)  # what was closed is gone after one more turn of the loop

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while True:
                    request = await _message(reader)
                    await self._answer(request, reader, writer)
        finally:
            writer.close()
            self._writers.discard(writer)

    async def _answer(self, request: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mode, provider = self._mode, request.split(b" ", 2)[1].split(b"/")[2].decode()
        self.calls[mode] += 1
        self._now[provider] += 1
        self.most[provider] = max(self.most[provider], self._now[provider])
        try:
            if mode == "unavailable":
                writer.write(UNAVAILABLE)
            elif mode == "silent":
                await reader.read()
            else:
                writer.write(await self._passed_on(request))
        finally:
            self._now[provider] -= 1

    async def _passed_on(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        try:
            writer.write(request)
            return await _message(reader)
        finally:
            writer.close()


async def _message(reader: asyncio.StreamReader) -> bytes:
    """A request or an answer, whole; its length is in its head."""
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    return head + await reader.readexactly(int(lengths[0].split(b":")[1]) if lengths else 0)
