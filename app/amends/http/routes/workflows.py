"""Business processes: started, shown, signalled, cancelled, and decided about by operators."""

from __future__ import annotations

import time
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from app.amends.http.error_types import Busy
from app.amends.http.openapi.answers import sagas as answers
from app.amends.http.openapi.answers.events import Events
from app.amends.http.openapi.responses import responds
from app.amends.http.paths import mount_path
from app.amends.http.requests.bodies import ANY_BODY, Reason, request_body
from app.amends.http.requests.headers import cause_of, idempotency_key_of
from app.amends.http.requests.roles import OPERATORS
from app.amends.http.serialisation import dry_run_json, page_json, saga_json, sagas_with_errors
from app.amends.postgres.statements.waiter import PollingWaiter
from app.amends.redaction.redactor import Redactor
from app.amends.store.events.pages import read_page
from app.amends.store.events.postgres_events import PostgresEvents, WentBack
from app.amends.store.idempotent_requests import IdempotencyKey, IdempotentRequests
from app.amends.store.sagas.summaries import SagaSummaries
from domain.amends.errors import NotFound
from domain.amends.vocabulary import Unreadable
from workflows.amends.acts.dry_runs import DryRuns
from workflows.amends.acts.saga_act import SagaAct
from workflows.amends.client import TerminatedAction
from workflows.amends.executor.engine import Engine
from workflows.amends.history import OperatorAction, saga_histories
from workflows.amends.ids import require_workflow_id
from workflows.amends.ports.event_store import StoredAnswer

LONGEST_WAIT = 300.0
MOST_STEPS = 2**31 - 1

Limit = Annotated[int, Query(ge=1, le=1000)]


class OperatorDecision(Reason):
    """The reason of a decision; `result` is that of the step that is resolved, where its type needs one."""

    result: Any = None


class WorkflowRoutes:
    """The routes below /workflows."""

    def __init__(
        self,
        engine: Engine,
        overview: SagaSummaries,
        resting: PollingWaiter[str, bool],
        events: PostgresEvents,
        requests: IdempotentRequests,
        redactor: Redactor,
        dry_runs: DryRuns,
    ) -> None:
        self._engine, self._overview, self._resting, self._dry_runs = engine, overview, resting, dry_runs
        self._events, self._requests, self._redactor = events, requests, redactor
        self.router = APIRouter(prefix="/workflows", tags=["workflows"])
        route = self.router.add_api_route
        route("/definitions", self.definitions, methods=["GET"])
        route("/{name}", self.start, methods=["POST"], status_code=202, openapi_extra=ANY_BODY)
        route("/{id}", self.get, methods=["GET"])
        route("/{id}/events", self.events, methods=["GET"])
        route("/{id}/signals/{signal}", self.signal, methods=["POST"], status_code=202, openapi_extra=ANY_BODY)
        for act in ("cancel", "compensate", "resume", "retry", "skip", "resolve"):
            route(f"/{{id}}/{act}", getattr(self, act), methods=["POST"], status_code=202, dependencies=OPERATORS)

    @responds(answers.Definitions)
    async def definitions(self) -> dict[str, Any]:
        """Every saga: its versions, the JSON Schema of its input, and its steps in order of declaration."""
        names = sorted({name for name, _ in self._engine.saga_client.sagas})
        return {"definitions": [self._definition(name) for name in names]}

    def _definition(self, name: str) -> dict[str, Any]:
        versions = sorted(version for known, version in self._engine.saga_client.sagas if known == name)
        described: dict[str, Any] = self._engine.saga_client.newest_definition(name).definition.describe()
        return described | {"versions": versions}

    @responds(answers.Started | answers.Saga, NotFound, Unreadable, sends=("Location",), at_once=answers.Saga)
    async def start(
        self,
        name: str,
        request: Request,
        response: Response,
        wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT)] = 0,
    ) -> dict[str, Any]:
        """Start a saga. The body is its input; the Idempotency-Key becomes its id.

        With `wait` the answer is the saga as GET shows it, held for so many seconds: 200 once it is finished, waits or
        is stuck, else 202. A repeat of the key waits again, and shows the saga as it is by then.
        """
        if self._engine.draining.is_set():
            raise Busy
        saga, key, cause = (
            self._engine.saga_client.newest_definition(name),
            idempotency_key_of(request),
            cause_of(request),
        )
        if key is not None:
            require_workflow_id(key, "Idempotency-Key")
        given = await request_body(request, saga.definition.input)
        started = await self._engine.start(saga, given, key, cause)
        response.headers["Location"] = f"{mount_path(request.scope)}/workflows/{started.id}"
        if wait:
            inactive, shown = await self._held(started.id, wait, -1)
            response.status_code = 200 if inactive else 202
            return shown
        return {"id": started.id, "name": started.name, "version": started.version, "status": started.status}

    @responds(answers.Saga, NotFound, Unreadable)
    async def get(
        self,
        id: str,
        wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT)] = 0,
        steps_after: Annotated[int, Query(ge=0, le=MOST_STEPS)] = -1,
    ) -> dict[str, Any]:
        """One saga with its steps; with `wait`, held for so many seconds or until it is finished, waits or is stuck.

        It shows 200 steps at a time: `steps_next`, given back as `steps_after`, goes on where a page has ended.
        """
        _, shown = await self._held(id, wait, steps_after)
        return shown

    async def _held(self, id: str, wait: float, steps_after: int) -> tuple[bool, dict[str, Any]]:
        """Whether a saga is inactive by now, or after so many seconds, and how it is shown."""
        until = time.monotonic() + wait
        found = await self._overview.saga_with_state(id)
        while found and not found.row.is_inactive and (left := until - time.monotonic()) > 0:
            await self._resting.wait(id, left)
            found = await self._overview.saga_with_state(id)
        if found is None:
            raise NotFound("workflow", id)
        details = found
        shown: dict[str, Any] = await self._redactor.serialise_redacted(
            lambda: saga_json(details, self._redactor, steps_after), sagas=sagas_with_errors(found.row, found.state)
        )
        return found.row.is_inactive, shown

    @responds(Events, NotFound, WentBack)
    async def events(self, id: str, after: str | None = None, limit: Limit = 100) -> dict[str, Any]:
        """The history of a saga, oldest first. `masked` and the size of a page are those of /events."""
        place = await self._events.parse_after(after)
        events = await read_page(partial(self._events.read_after, saga_histories.stream(id)), place, limit)
        if not events and await self._overview.row(id) is None:
            raise NotFound("workflow", id)
        return await self._redactor.serialise_redacted(lambda: page_json(events, place, self._redactor), events)

    @responds(answers.Accepted, NotFound)
    async def signal(self, id: str, signal: str, request: Request) -> dict[str, Any]:
        """Send a signal to a saga; the body is its payload. An early one is kept until the saga waits for it."""
        row, cause = await self._overview.row(id), cause_of(request)
        if row is None:
            raise NotFound("workflow", id)
        cls = self._engine.saga_client.signal_class(id, row.name, row.version, row.status, signal)
        sent = await request_body(request, cls)
        payload = self._engine.saga_client.signal_payload_json(signal, sent, cls)

        async def send(key: IdempotencyKey | None) -> dict[str, Any]:
            answer = StoredAnswer(key.key, key.digest, {"id": id, "signal": signal}) if key else None
            noted = await self._engine.saga_client.signal(id, signal, payload, cause, answer)
            self._engine.request_queue_check()
            return noted

        return await self._requests.once(
            idempotency_key_of(request), {"id": id, "signal": signal, "payload": payload}, send
        )

    @responds(answers.Accepted, NotFound, Unreadable, at_once=answers.DryRun)
    async def cancel(
        self, id: str, why: Reason, request: Request, response: Response, dry_run: bool = False
    ) -> dict[str, Any]:
        """Cancel a saga: it compensates from its next step on, once running ones are settled. After its pivot: 409.

        With `dry_run` nothing is done: 200 with what would happen next.
        """
        if dry_run:
            return await self._try(id, SagaAct("cancel", why.reason), response)
        row, cause = await self._overview.row(id), cause_of(request)
        if row is None:
            raise NotFound("workflow", id)

        async def note(key: IdempotencyKey | None) -> dict[str, Any]:
            answer = StoredAnswer(key.key, key.digest, {"id": id}) if key else None
            noted = await self._engine.saga_client.cancel(id, row.name, row.version, why.reason, cause, answer)
            self._engine.cancel(id, why.reason)
            return noted

        return await self._requests.once(idempotency_key_of(request), {"id": id, "cancel": why.reason}, note)

    @responds(answers.Accepted, NotFound, at_once=answers.DryRun)
    async def compensate(
        self, id: str, why: Reason, request: Request, response: Response, dry_run: bool = False
    ) -> dict[str, Any]:
        """Compensate a saga that was terminated in DBOS's own tools. With `dry_run`: what would happen next."""
        if dry_run:
            return await self._try(id, SagaAct("compensate", why.reason), response)
        return await self._resume_terminated(id, "compensate", why, request)

    @responds(answers.Accepted, NotFound, at_once=answers.DryRun)
    async def resume(
        self, id: str, why: Reason, request: Request, response: Response, dry_run: bool = False
    ) -> dict[str, Any]:
        """Resume a saga that was terminated in DBOS's own tools. With `dry_run`: what would happen next."""
        if dry_run:
            return await self._try(id, SagaAct("resume", why.reason), response)
        return await self._resume_terminated(id, "resume", why, request)

    async def _resume_terminated(self, id: str, how: TerminatedAction, why: Reason, request: Request) -> dict[str, Any]:
        cause = cause_of(request)

        async def decide(key: IdempotencyKey | None) -> dict[str, Any]:
            answer = StoredAnswer(key.key, key.digest, {"id": id, "act": how}) if key else None
            noted = await self._engine.saga_client.handle_terminated(id, how, why.reason, cause, answer)
            self._engine.request_queue_check()
            return noted

        return await self._requests.once(
            idempotency_key_of(request), {"id": id, "act": how, "reason": why.reason}, decide
        )

    @responds(answers.Accepted, NotFound, Unreadable, at_once=answers.DryRun)
    async def retry(
        self, id: str, decision: OperatorDecision, request: Request, response: Response, dry_run: bool = False
    ) -> dict[str, Any]:
        """Let a stuck saga retry the step or the compensation that failed.

        With `dry_run` nothing is done: 200 with what would happen next.
        """
        if dry_run:
            return await self._try(id, SagaAct("retry", decision.reason, decision.result), response)
        return await self._act(id, "retry", decision, request)

    @responds(answers.Accepted, NotFound, Unreadable, at_once=answers.DryRun)
    async def skip(
        self, id: str, decision: OperatorDecision, request: Request, response: Response, dry_run: bool = False
    ) -> dict[str, Any]:
        """Let a stuck saga go on without the step or the compensation that failed.

        With `dry_run` nothing is done: 200 with what would happen next.
        """
        if dry_run:
            return await self._try(id, SagaAct("skip", decision.reason, decision.result), response)
        return await self._act(id, "skip", decision, request)

    @responds(answers.Accepted, NotFound, Unreadable, at_once=answers.DryRun)
    async def resolve(
        self, id: str, decision: OperatorDecision, request: Request, response: Response, dry_run: bool = False
    ) -> dict[str, Any]:
        """Note that the step or the compensation that failed was done by hand, and let the saga go on.

        With `dry_run` nothing is done: 200 with what would happen next.
        """
        if dry_run:
            return await self._try(id, SagaAct("resolve", decision.reason, decision.result), response)
        return await self._act(id, "resolve", decision, request)

    async def _try(self, id: str, act: SagaAct, response: Response) -> dict[str, Any]:
        """What an act would lead to; nothing is done."""
        found = await self._dry_runs.of(id, act)
        response.status_code = 200
        return dry_run_json(found)

    async def _act(self, id: str, act: OperatorAction, decision: OperatorDecision, request: Request) -> dict[str, Any]:
        cause = cause_of(request)

        async def decide(key: IdempotencyKey | None) -> dict[str, Any]:
            answer = StoredAnswer(key.key, key.digest, {"id": id, "act": act}) if key else None
            noted = await self._engine.saga_client.handle_stuck(
                id, act, decision.reason, cause, decision.result, answer
            )
            self._engine.request_queue_check()
            return noted

        sent = {"id": id, "act": act} | decision.model_dump()
        return await self._requests.once(idempotency_key_of(request), sent, decide)
