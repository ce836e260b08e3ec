"""Acts on many sagas: tried out, begun, watched, and steered."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from app.amends.bulk.bulk_acts import Steering
from app.amends.bulk.dry_run import BulkDryRuns
from app.amends.bulk.request import BulkActName, BulkRequest, require_size
from app.amends.bulk.runner import BulkRunner
from app.amends.http.bulk_json import bulk_dry_run_json, bulk_json, bulk_page_json
from app.amends.http.openapi.answers import bulk as answers
from app.amends.http.openapi.responses import responds
from app.amends.http.requests.bodies import Body, Reason, all_text
from app.amends.http.requests.headers import actor_of, has_known_actor, idempotency_key_of
from app.amends.http.requests.parameters import Instant
from app.amends.http.requests.roles import OPERATORS
from app.amends.redaction.redactor import Redactor
from app.amends.store.idempotent_requests import IdempotencyKey, IdempotentRequests
from app.amends.store.sagas.filters import SagaFilters
from app.amends.store.sagas.summaries import read_page_cursor
from domain.amends.errors import Conflict, Invalid, NotFound
from workflows.amends.acts.saga_act import SagaAct
from workflows.amends.client import SagaClient
from workflows.amends.ids import new_id
from workflows.amends.ports.event_store import StoredAnswer

Text = Annotated[str | None, Field(max_length=1000)]
Number = Annotated[int | None, Field(ge=0, le=2**31 - 1)]


class BulkFilter(Body):
    """Which sagas: those that match all of it. It is that of the list, but how much of it is shown is no filter."""

    name: Text = None
    version: Annotated[int | None, Field(ge=1, le=2**31 - 1)] = None
    status: Text = None
    reference: Text = None
    step: Text = None
    error: Text = None
    actor: Text = None
    cause: Text = None
    started_after: Instant | None = None
    started_before: Instant | None = None
    correlation_id: Text = None
    parent: Text = None


class BulkBody(Reason):
    """An act on many sagas. `result` is for resolve, `signal` and `payload` are for signal.

    With `dry_run` nothing is done. `expect` is what a dry run has said: more than that are not acted on.
    """

    filter: BulkFilter
    act: BulkActName
    signal: Text = None
    payload: Any = None
    result: Any = None
    dry_run: bool = False
    expect: Number = None

    def request(self, actor: str, known: bool) -> BulkRequest:
        """What is asked for. Raises Invalid."""
        if "\0" in all_text(self.model_dump(mode="json")):
            raise Invalid("body", "contains the character U+0000, which cannot be stored")
        try:
            filters = SagaFilters(**dict(self.filter))
        except Invalid as wrong:
            raise Invalid(f"filter.{wrong.field}", wrong.problem) from None
        act = SagaAct(self.act, self.reason, self.result, self.signal, self.payload)
        return BulkRequest(filters, act, actor, known)


class BulkRoutes:
    """The routes below /workflows/bulk, before those with an id in their place."""

    def __init__(
        self,
        runner: BulkRunner,
        dry_runs: BulkDryRuns,
        client: SagaClient,
        requests: IdempotentRequests,
        redactor: Redactor,
    ) -> None:
        self._runner, self._acts, self._dry_runs, self._client = runner, runner.acts, dry_runs, client
        self._requests, self._redactor = requests, redactor
        self.router = APIRouter(prefix="/workflows/bulk", tags=["workflows"])
        route = self.router.add_api_route
        route("", self.begin, methods=["POST"], status_code=202, dependencies=OPERATORS)
        route("", self.list, methods=["GET"])
        route("/{id}", self.get, methods=["GET"])
        for action in ("pause", "resume", "cancel"):
            route(f"/{{id}}/{action}", getattr(self, action), methods=["POST"], dependencies=OPERATORS)

    @responds(answers.BulkBegun, Conflict, at_once=answers.BulkDryRun)
    async def begin(self, body: BulkBody, request: Request, response: Response) -> dict[str, Any]:
        """Act on all sagas that match, in batches beside other work. The set is fixed now; what has moved on by the
        time that it is its turn is left alone.

        With `dry_run` nothing is done: 200 with how many match, the first of them, and what it would lead to.
        """
        wanted = body.request(actor_of(request), has_known_actor(request))
        if body.dry_run:
            found = await self._dry_runs.of(wanted, body.expect)
            response.status_code = 200
            return await bulk_dry_run_json(found, self._redactor)
        wanted.require_signal(self._client)

        async def begin(key: IdempotencyKey | None) -> dict[str, Any]:
            begun = {"id": str(new_id()), "act": body.act, "status": "running"}
            answer = StoredAnswer(key.key, key.digest, begun) if key else None
            count, stands = await self._acts.begin(begun["id"], wanted, body.expect, answer)
            if not stands:
                require_size(count, body.expect)
            return begun | {"total": count}

        sent = {"bulk": body.model_dump(mode="json", exclude={"dry_run"}), "actor": wanted.actor}
        answered = await self._requests.once(idempotency_key_of(request), sent, begin)
        self._runner.check_work()
        return answered

    @responds(answers.BulkActs)
    async def list(self, limit: Annotated[int, Query(ge=1, le=1000)] = 50, cursor: str | None = None) -> dict[str, Any]:
        """Acts on many sagas, newest first."""
        found = await self._acts.page(limit + 1, read_page_cursor(cursor) if cursor else None)
        return bulk_page_json(found, limit)

    @responds(answers.BulkAct, NotFound)
    async def get(self, id: str) -> dict[str, Any]:
        """One of them, with its progress, and what failed by cause."""
        return bulk_json(*await self._acts.one(id))

    @responds(answers.BulkSteered, NotFound, Conflict)
    async def pause(self, id: str, why: Reason, request: Request) -> dict[str, Any]:
        """Let it rest after the batch that is under way."""
        return await self._steer(id, "pause", why, request)

    @responds(answers.BulkSteered, NotFound, Conflict)
    async def resume(self, id: str, why: Reason, request: Request) -> dict[str, Any]:
        """Let one that was paused go on."""
        return await self._steer(id, "resume", why, request)

    @responds(answers.BulkSteered, NotFound, Conflict)
    async def cancel(self, id: str, why: Reason, request: Request) -> dict[str, Any]:
        """End it after the batch that is under way; what was done stays done."""
        return await self._steer(id, "cancel", why, request)

    async def _steer(self, id: str, action: Steering, why: Reason, request: Request) -> dict[str, Any]:
        actor = actor_of(request)

        async def steer(key: IdempotencyKey | None) -> dict[str, Any]:
            return await self._acts.steer(id, action, actor, why.reason, key)

        sent = {"bulk": id, "action": action, "reason": why.reason}
        answered = await self._requests.once(idempotency_key_of(request), sent, steer)
        self._runner.check_work()
        return answered
