"""The feed: all events in order, page by page or live."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.sse import format_sse_event
from pydantic_core import to_json

from app.amends.http.error_types import TooManyFollowers
from app.amends.http.openapi.answers import events as answers
from app.amends.http.openapi.responses import EVENT_STREAM, responds
from app.amends.http.routes.live_followers import Followers, LiveResponse
from app.amends.http.serialisation import event_json, page_json
from app.amends.redaction.redactor import Redactor
from app.amends.store.events.pages import read_page
from app.amends.store.events.postgres_events import PostgresEvents, WentBack
from app.amends.store.feed.follower import Follower
from app.amends.store.feed.notifier import FeedNotifier
from domain.amends.errors import Contended, Unavailable
from workflows.amends.ports.event_store import START, FeedCursor, FeedFilter, StoredEvent

log = logging.getLogger("amends.http")

Limit = Annotated[int, Query(ge=1, le=1000)]

FIRST_PAGE, PAGE = 10, 100
"""How many events are read for a follower at first, and at most; fewer while they are large."""
BUFFER = 64 * 1024
"""The most bytes in a chunk for a follower, unless one event has more."""
QUIET_SECONDS = 10.0
"""After so long without an event, a comment shows followers that the connection lives."""
RECONNECT_MS = 1000
WENT_BACK: Final = "history-went-back"
"""The type of the server-sent event that says that an event which was sent is gone."""


class EventRoutes:
    """The routes below /events."""

    def __init__(
        self,
        events: PostgresEvents,
        feed_notifier: FeedNotifier,
        redactor: Redactor,
        stopping: asyncio.Event,
        followers: Followers,
    ) -> None:
        self._events, self._feed_notifier, self._redactor, self._stopping = events, feed_notifier, redactor, stopping
        self._followers = followers
        self.router = APIRouter(tags=["events"])
        self.router.add_api_route("/events", self.feed, methods=["GET"])
        self.router.add_api_route("/events/live", self.live, methods=["GET"], response_model=None)

    @responds(answers.Events, WentBack)
    async def feed(
        self,
        after: str | None = None,
        limit: Limit = 100,
        type: str | None = None,
        stream: str | None = None,
        correlation_id: str | None = None,
    ) -> dict[str, Any]:
        """All events in an order that never skips one; go on with `after` = `next` until there are none.

        A page has at most `limit` events and about 8 MiB of their data, or one event: it may end before `limit`.

        `masked` is null, `marked` where values are personal or secret, or `unknown` where some are masked only because
        this server does not know what they are: one that does shows them, at the same `position`.
        """
        cursor = await self._events.parse_after(after)
        only = FeedFilter(type, stream, correlation_id)
        events = await read_page(lambda beyond, most: self._events.feed(beyond, most, only), cursor, limit)
        return await self._redactor.serialise_redacted(lambda: page_json(events, cursor, self._redactor), events)

    @responds(EVENT_STREAM, TooManyFollowers)
    async def live(
        self,
        request: Request,
        after: str | None = None,
        type: str | None = None,
        stream: str | None = None,
        correlation_id: str | None = None,
    ) -> LiveResponse:
        """The same as server-sent events, for as long as the client reads them.

        The id of each is its place: a client that reconnects with it as `Last-Event-ID` misses and repeats nothing.
        Where history went back, as it may in a failover, an event of the type `history-went-back` says so: `place` is
        gone, and after it comes all that follows `stands`, the last place before it that still stands.
        """
        self._followers.require_room()
        cursor = await self._events.parse_after(request.headers.get("Last-Event-ID") or after)
        following = self._follow(cursor, FeedFilter(type, stream, correlation_id))
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return LiveResponse(following, self._followers, headers)

    async def _follow(self, cursor: FeedCursor, only: FeedFilter) -> AsyncGenerator[bytes, None]:
        yield format_sse_event(retry=RECONNECT_MS, comment="here is the feed")
        follower = Follower(self._events, self._feed_notifier, cursor, only)
        looked, limit = cursor, FIRST_PAGE
        while not self._stopping.is_set():
            try:
                chunk, sent, more = await self._chunk(follower, limit)
            except WentBack as back:
                looked = self._go_back(follower, back)
                yield format_sse_event(event=WENT_BACK, data_str=_went_back_json(back), id=back.stands)
                continue
            except (Unavailable, Contended):
                yield format_sse_event(comment="the database is away; this goes on when it is back")
                continue
            if chunk:
                yield chunk
            limit = min(2 * sent, PAGE) if sent else FIRST_PAGE
            looked = max(looked, follower.cursor)
            if not more and not await self._goes_on(looked):
                yield format_sse_event(comment="nothing new")
            looked = max(follower.cursor, self._feed_notifier.end)

    async def _chunk(self, follower: Follower, limit: int) -> tuple[bytes, int, bool]:
        """The next events as they are sent, their number, and whether more may follow at once.

        Those that do not fit are read again: they take no memory while a client is slow.
        """
        events = await follower.next_page(limit)
        shown = await self._redactor.serialise_redacted(partial(self._json, events), events)
        chunk, sent = bytearray(), 0
        for event, data in zip(events, shown, strict=True):
            following = format_sse_event(data_str=data, id=str(event.cursor))
            if sent and len(chunk) + len(following) > BUFFER:
                break
            chunk += following
            sent += 1
        follower.note_sent(events[:sent])
        return bytes(chunk), sent, sent < len(events) or len(events) == limit

    def _go_back(self, follower: Follower, back: WentBack) -> FeedCursor:
        """Move a follower to the last place that still stands."""
        log.info("A follower of the feed is told that history went back before %s: to %s.", back.place, back.stands)
        cursor = FeedCursor.parse(back.stands) or START
        follower.rewind(cursor)
        return cursor

    def _json(self, events: Sequence[StoredEvent]) -> list[str]:
        return [to_json(event_json(event, self._redactor)).decode() for event in events]

    async def _goes_on(self, cursor: FeedCursor) -> bool:
        """Wait until the feed goes on or this server stops; False if neither has for a while."""
        going, stopping = (
            asyncio.create_task(self._feed_notifier.wait_beyond(cursor, QUIET_SECONDS)),
            asyncio.create_task(self._stopping.wait()),
        )
        try:
            await asyncio.wait([going, stopping], return_when=asyncio.FIRST_COMPLETED)
            return going.result() if going.done() else True
        finally:
            stopping.cancel()
            going.cancel()


def _went_back_json(back: WentBack) -> str:
    """The data of the server-sent event for a follower."""
    return to_json(back.redacted_facts() | {"detail": str(back)}).decode()
