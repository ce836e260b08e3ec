"""Read what happened: everything in order, or one stream."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from app.http.shown import shown_event
from app.store.feed import Feed

Limit = Annotated[int, Query(ge=1, le=1000)]


class Events:
    """The routes below /events and /streams."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self.router = APIRouter(tags=["events"])
        self.router.add_api_route("/events", self.feed, methods=["GET"])
        self.router.add_api_route("/streams/{stream}", self.stream, methods=["GET"])

    async def feed(
        self,
        after: str | None = None,
        limit: Limit = 100,
        type: str | None = None,
        stream: str | None = None,
        correlation_id: str | None = None,
    ) -> dict[str, Any]:
        """All events in an order that never skips one; go on with `after` = `next`."""
        place = await self._feed.place(after)
        rows, reached = await self._feed.events(place, limit, type, stream, correlation_id)
        return {"events": [shown_event(row) for row in rows], "next": str(reached)}

    async def stream(
        self, stream: str, response: Response, after: str | None = None, limit: Limit = 100
    ) -> dict[str, Any]:
        """One stream, oldest first; the ETag is its version."""
        rows, reached = await self._feed.stream(stream, await self._feed.place(after), limit)
        response.headers["ETag"] = f'"{await self._feed.version(stream)}"'
        return {"events": [shown_event(row) for row in rows], "next": str(reached)}
