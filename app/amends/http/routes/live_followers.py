"""Live followers of the feed: bounded in number and in buffer, and dropped when they do not read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.amends.http.error_types import TooManyFollowers
from app.amends.http.requests.connections import ABORT
from workflows.amends.background import cancel_tasks

log = logging.getLogger("amends.http")

UNREAD_SECONDS: Final = 30.0
"""How long a follower may leave unread what was sent, before its connection is cut."""


class Followers:
    """The number of followers in this process, at most `most`."""

    def __init__(self, most: int) -> None:
        self.most, self.count = most, 0

    @contextmanager
    def admit_one(self) -> Iterator[None]:
        """Count one more inside. Raises TooManyFollowers."""
        self.require_room()
        self.count += 1
        try:
            yield
        finally:
            self.count -= 1

    def require_room(self) -> None:
        """Raise TooManyFollowers if there is no room for one more."""
        if self.count >= self.most:
            raise TooManyFollowers(self.most)


class LiveResponse(Response):
    """Chunks as server-sent events, as long as there are any and the client reads them.

    A read from the database is never cancelled from outside, although the client may go away at any time.
    """

    media_type = "text/event-stream"

    def __init__(self, chunks: AsyncGenerator[bytes, None], followers: Followers, headers: Mapping[str, str]) -> None:
        followers.require_room()
        super().__init__(headers=headers)
        del self.headers["content-length"]
        self._chunks, self._followers = chunks, followers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the chunks end, the client goes away, or it does not read for too long."""
        with self._followers.admit_one():
            sending = asyncio.create_task(self._send(send), name="follower")
            gone = asyncio.create_task(_gone(receive), name="follower's end")
            try:
                await asyncio.wait({sending, gone}, return_when=asyncio.FIRST_COMPLETED)
                if sending.done() and (error := sending.exception()):
                    raise error
            except TimeoutError:
                log.warning("A follower of the feed has not read for %.0f s: it is dropped.", UNREAD_SECONDS)
                abort: Callable[[], None] | None = scope.get("extensions", {}).get(ABORT, {}).get("abort")
                if abort:
                    abort()
            finally:
                await cancel_tasks(sending, gone)
                await self._chunks.aclose()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for chunk in self._chunks:
            async with asyncio.timeout(UNREAD_SECONDS):
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await asyncio.sleep(0)  # to somebody who has gone everything is sent at once
        async with asyncio.timeout(UNREAD_SECONDS):
            await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
