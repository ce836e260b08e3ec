"""Start business processes, watch them, and decide about those that are stuck."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import from_json

from app.http.guards import cause_of, key_of
from app.http.problems import Busy, Malformed
from app.http.shown import shown_event, shown_row, shown_saga
from app.store.feed import Feed
from app.store.overview import Filters, Overview, Waiting
from app.store.requests import Requests
from domain.errors import Invalid, NotFound
from workflows.codec import read
from workflows.durable.engine import Engine
from workflows.story import RESTING, Act, stories

LONGEST_WAIT = 300.0

Limit = Annotated[int, Query(ge=1, le=1000)]


class Decision(BaseModel):
    """Why a person decided so; `result` is what a step that is resolved came to, where its type needs one."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: str = Field(min_length=1, max_length=2000)
    result: Any = None


class Workflows:
    """The routes below /workflows."""

    def __init__(self, engine: Engine, overview: Overview, waiting: Waiting, feed: Feed, requests: Requests) -> None:
        self._engine, self._overview, self._waiting = engine, overview, waiting
        self._feed, self._requests = feed, requests
        self.router = APIRouter(prefix="/workflows", tags=["workflows"])
        route = self.router.add_api_route
        route("/definitions", self.definitions, methods=["GET"])
        route("/{name}", self.start, methods=["POST"], status_code=202, openapi_extra=_ANY_BODY)
        route("", self.list, methods=["GET"])
        route("/{id}", self.get, methods=["GET"])
        route("/{id}/events", self.events, methods=["GET"])
        route("/{id}/{act}", self.act, methods=["POST"], status_code=202)

    async def definitions(self) -> dict[str, Any]:
        """Every saga: its versions, the JSON Schema of its input, and its steps in order of declaration."""
        names = sorted({name for name, _ in self._engine.desk.sagas})
        return {"definitions": [self._described(name) for name in names]}

    def _described(self, name: str) -> dict[str, Any]:
        versions = sorted(version for known, version in self._engine.desk.sagas if known == name)
        described: dict[str, Any] = self._engine.desk.newest(name).definition.describe()
        return described | {"versions": versions}

    async def start(self, name: str, request: Request, response: Response) -> dict[str, Any]:
        """Start a saga. The body is its input; the Idempotency-Key becomes its id."""
        if self._engine.draining.is_set():
            raise Busy
        saga, key, cause = self._engine.desk.newest(name), key_of(request), cause_of(request)
        given = read(await body_of(request), saga.definition.input)
        started = await self._engine.start(name, given, key, cause)
        response.headers["Location"] = f"/workflows/{started.id}"
        return {"id": started.id, "name": started.name, "version": started.version, "status": started.status}

    async def list(
        self,
        name: str | None = None,
        status: str | None = None,
        reference: str | None = None,
        correlation_id: str | None = None,
        limit: Limit = 50,
        cursor: str | None = None,
    ) -> dict[str, Any]:
        """Sagas, newest first."""
        rows, after = await self._overview.page(Filters(name, status, reference, correlation_id), limit, cursor)
        return {"workflows": [shown_row(row) for row in rows], "next": after}

    async def get(self, id: str, wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT)] = 0) -> dict[str, Any]:
        """One saga with its steps; with `wait`, held for so many seconds or until it is finished, waits or is stuck."""
        found = await self._overview.saga(id)
        if found and wait and found[0].status not in RESTING and found[0].status != "waiting":
            await self._waiting.until_rest(id, wait)
            found = await self._overview.saga(id)
        if found is None:
            raise NotFound("workflow", id)
        return shown_saga(*found)

    async def events(self, id: str, after: str | None = None, limit: Limit = 100) -> dict[str, Any]:
        """The saga's own story, oldest first."""
        rows, place = await self._feed.stream(stories.stream(id), await self._feed.place(after), limit)
        if not rows and await self._overview.saga(id) is None:
            raise NotFound("workflow", id)
        return {"events": [shown_event(row) for row in rows], "next": str(place)}

    async def act(self, id: str, act: Act, decision: Decision, request: Request) -> dict[str, Any]:
        """Decide about a saga that is stuck: try again, go on without, or say that it was put right by hand."""
        cause = cause_of(request)

        async def decide() -> dict[str, Any]:
            await self._engine.desk.act(id, act, decision.reason, cause, decision.result)
            self._engine.look()
            return {"id": id, "act": act}

        asked = {"id": id, "act": act} | decision.model_dump()
        return await self._requests.once(key_of(request), asked, decide)


async def body_of(request: Request) -> Any:
    """The body as plain JSON data. Raises Malformed, or Invalid for text that Postgres cannot store."""
    body = await request.body()
    try:
        data = from_json(body)
    except ValueError as error:
        raise Malformed(str(error)) from error
    if b"\\u0000" in body and "\x00" in repr_text(data):
        raise Invalid("body", "contains the character U+0000, which cannot be stored")
    return data


def repr_text(data: Any) -> str:
    """All text in plain JSON data, joined."""
    if isinstance(data, str):
        return data
    if isinstance(data, dict):
        return "".join(repr_text(part) for pair in data.items() for part in pair)
    return "".join(map(repr_text, data)) if isinstance(data, list) else ""


_ANY_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}}
