"""Streams: their events, the state of their aggregate now or in the past, and undo and redo."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from app.amends.http.error_types import Unconditional
from app.amends.http.openapi.answers import events as answers
from app.amends.http.openapi.responses import responds
from app.amends.http.requests.bodies import Reason
from app.amends.http.requests.headers import cause_of, idempotency_key_of, if_match_version
from app.amends.http.requests.parameters import Instant, StreamName
from app.amends.http.requests.roles import OPERATORS
from app.amends.http.routes.events import Limit
from app.amends.http.serialisation import difference_json, page_json, state_json
from app.amends.redaction.redactor import Redactor
from app.amends.schema.catalogue import DomainCatalogue
from app.amends.store.aggregates.repository import IdempotentRequest
from app.amends.store.aggregates.time_travel import PointInTime, TimeTravel
from app.amends.store.aggregates.undo import UndoAction, UndoRedo
from app.amends.store.events.pages import read_page
from app.amends.store.events.postgres_events import PostgresEvents, WentBack
from app.amends.store.idempotent_requests import IdempotencyKey, IdempotentRequests
from domain.amends.errors import NotFound, StaleVersion
from domain.amends.vocabulary import Unreadable
from workflows.amends.values.codec import dump

Version = Annotated[int | None, Query(ge=1, le=2**31 - 1)]

UNDO_PROBLEMS = (NotFound, StaleVersion, Unconditional, Unreadable)


class StreamRoutes:
    """The routes below /streams."""

    def __init__(
        self,
        catalogue: DomainCatalogue,
        events: PostgresEvents,
        history: TimeTravel,
        undoing: UndoRedo,
        requests: IdempotentRequests,
        redactor: Redactor,
    ) -> None:
        self._catalogue, self._events, self._history = catalogue, events, history
        self._undoing, self._requests, self._redactor = undoing, requests, redactor
        self.router = APIRouter(prefix="/streams", tags=["streams"])
        route = self.router.add_api_route
        route("/{stream}", self.stream, methods=["GET"])
        route("/{stream}/state", self.state, methods=["GET"])
        route("/{stream}/difference", self.difference, methods=["GET"])
        route("/{stream}/undo", self.undo, methods=["POST"], dependencies=OPERATORS)
        route("/{stream}/redo", self.redo, methods=["POST"], dependencies=OPERATORS)

    @responds(answers.Events, WentBack, sends=("ETag",))
    async def stream(
        self, stream: StreamName, response: Response, after: str | None = None, limit: Limit = 100
    ) -> dict[str, Any]:
        """The events of a stream, oldest first; the ETag is its version. `masked` and page sizes are as in /events."""
        cursor = await self._events.parse_after(after)
        events = await read_page(partial(self._events.read_after, stream), cursor, limit)
        response.headers["ETag"] = f'"{await self._events.version(stream)}"'
        return await self._redactor.serialise_redacted(lambda: page_json(events, cursor, self._redactor), events)

    @responds(answers.State, NotFound, Unreadable, WentBack, sends=("ETag",))
    async def state(
        self,
        stream: StreamName,
        response: Response,
        version: Version = None,
        position: str | None = None,
        at: Instant | None = None,
    ) -> dict[str, Any]:
        """The state of the stream's aggregate: now, or at a version, a position or an instant."""
        aggregate = self._catalogue.aggregate(stream)
        found = await self._history.state(aggregate, stream, PointInTime(version, position, at))
        response.headers["ETag"] = f'"{found.version}"'
        return await self._redactor.serialise_redacted(lambda: state_json(found, aggregate.category, self._redactor))

    @responds(answers.Difference, NotFound, Unreadable, WentBack)
    async def difference(
        self,
        stream: StreamName,
        from_version: Annotated[int | None, Query(ge=0, le=2**31 - 1)] = None,
        from_position: str | None = None,
        from_at: Instant | None = None,
        to_version: Version = None,
        to_position: str | None = None,
        to_at: Instant | None = None,
    ) -> dict[str, Any]:
        """The changes between two points; without a `from` since the beginning, without a `to` until now."""
        before = _since(from_version, from_position, from_at)
        after = PointInTime(to_version, to_position, to_at)
        aggregate = self._catalogue.aggregate(stream)
        found = await self._history.difference(aggregate, stream, before, after)
        return await self._redactor.serialise_redacted(
            lambda: difference_json(*found, aggregate.category, self._redactor)
        )

    @responds(answers.StateAfterUndo, *UNDO_PROBLEMS, sends=("ETag",))
    async def undo(self, stream: StreamName, why: Reason, request: Request, response: Response) -> dict[str, Any]:
        """Undo the last decision by inverse events; `If-Match` names the version that you have seen."""
        return await self._reverse("undo", stream, why, request, response)

    @responds(answers.StateAfterUndo, *UNDO_PROBLEMS, sends=("ETag",))
    async def redo(self, stream: StreamName, why: Reason, request: Request, response: Response) -> dict[str, Any]:
        """Redo the decision that was undone last."""
        return await self._reverse("redo", stream, why, request, response)

    async def _reverse(
        self, action: UndoAction, stream: str, why: Reason, request: Request, response: Response
    ) -> dict[str, Any]:
        aggregate, expected, cause = self._catalogue.aggregate(stream), if_match_version(request), cause_of(request)
        sent = {"turn": action, "stream": stream, "version": expected, "reason": why.reason}

        def shown(state: Any, version: int) -> dict[str, Any]:
            return {"stream": stream, "version": version, "state": dump(state, aggregate.state_type)}

        async def act(key: IdempotencyKey | None) -> dict[str, Any]:
            once = IdempotentRequest(key.key, key.digest, shown) if key else None
            done = await self._undoing.perform(action, aggregate, stream, expected, cause, why.reason, once)
            return done.before or shown(done.state, done.version) | {"position": str(done.cursor)}

        answer = await self._requests.once(idempotency_key_of(request), sent, act)
        response.headers["ETag"] = f'"{answer["version"]}"'
        state = await self._redactor.serialise_redacted(
            lambda: self._redactor.state(aggregate.category, answer["state"])
        )
        return answer | {"state": state}


def _since(version: int | None, position: str | None, at: datetime | None) -> PointInTime:
    return PointInTime(0) if (version, position, at) == (None, None, None) else PointInTime(version, position, at)
