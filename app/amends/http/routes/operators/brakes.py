"""Brakes: listed, set and lifted."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from app.amends.http.openapi.answers import brakes as answers
from app.amends.http.openapi.responses import responds
from app.amends.http.requests.bodies import Body, Reason
from app.amends.http.requests.headers import cause_of, idempotency_key_of
from app.amends.http.requests.roles import OPERATORS
from app.amends.http.serialisation import brake_json
from app.amends.store.brakes import PostgresBrakes
from app.amends.store.idempotent_requests import IdempotencyKey, IdempotentRequests
from domain.amends.errors import NotFound
from workflows.amends.acts.brake_administration import BrakeAdministration
from workflows.amends.brakes.brake import BrakeScope, WhenStarted
from workflows.amends.executor.engine import Engine

Text = Annotated[str | None, Field(min_length=1, max_length=200)]


class Scope(Body):
    """What is held: all that meets each of the fields that are given; one at least."""

    name: Text = None
    version: int | None = Field(None, ge=1, le=2**31 - 1)
    step: Text = None
    provider: Text = None


class NewBrake(Reason):
    """A brake to be set. `starts` says whether sagas of the scope that are started are queued, or refused with 503."""

    scope: Scope
    starts: WhenStarted = "queue"
    compensations: bool = False


class BrakeRoutes:
    """The routes below /brakes."""

    def __init__(
        self, engine: Engine, brakes: PostgresBrakes, administration: BrakeAdministration, requests: IdempotentRequests
    ) -> None:
        self._engine, self._brakes, self._administration, self._requests = engine, brakes, administration, requests
        self.router = APIRouter(prefix="/brakes", tags=["brakes"])
        route = self.router.add_api_route
        route("", self.list, methods=["GET"])
        route("", self.set, methods=["POST"], status_code=201, dependencies=OPERATORS)
        route("/{id}", self.lift, methods=["DELETE"], status_code=204, dependencies=OPERATORS, response_class=Response)

    @responds(answers.Brakes)
    async def list(self) -> dict[str, Any]:
        """The brakes in force, oldest first, and how many sagas wait at each, of 10,000 at most."""
        return {"brakes": [brake_json(each) for each in await self._brakes.in_force()]}

    @responds(answers.BrakeSet)
    async def set(self, given: NewBrake, request: Request) -> dict[str, Any]:
        """Hold what the scope names: within a second nothing new of it begins in any process.

        What is under way is finished first. Sagas that turn back go on, unless `compensations` are held too, and a
        deadline that passes turns its saga back as ever. It stays until it is lifted.
        """
        scope, cause = BrakeScope(**given.scope.model_dump()), cause_of(request)

        async def set_once(key: IdempotencyKey | None) -> dict[str, Any]:
            options = (given.starts, given.compensations, given.reason)
            return await self._administration.set(scope, *options, cause, key)

        answer = await self._requests.once(idempotency_key_of(request), {"brake": given.model_dump()}, set_once)
        self._engine.look_at_brakes()
        return answer

    @responds(None, NotFound)
    async def lift(
        self, id: str, request: Request, reason: Annotated[str, Query(min_length=1, max_length=2000)]
    ) -> Response:
        """Lift a brake: what waits at it goes on, the longest waiting first, and evenly."""
        await self._administration.lift(id, reason, cause_of(request))
        self._engine.look_at_brakes()
        return Response(status_code=204)
