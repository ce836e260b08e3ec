"""Read models: their state, and what operators do with them: rebuild, verify, promote, drop, retry, skip."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import Field

from app.amends.http.openapi.answers import projections as answers
from app.amends.http.openapi.responses import responds
from app.amends.http.requests.bodies import Body, Reason
from app.amends.http.requests.headers import cause_of, idempotency_key_of
from app.amends.http.requests.parameters import RowKey
from app.amends.http.requests.roles import OPERATORS
from app.amends.postgres.statements.reader import Reader
from app.amends.projections.comparison import compare_builds
from app.amends.projections.reporting import read_model_report
from app.amends.projections.runners import Runners
from app.amends.store.idempotent_requests import IdempotencyKey, IdempotentRequests
from domain.amends.errors import Conflict, NotFound
from workflows.amends.ports.projection_builds import RequestedAction
from workflows.amends.projections.administration import ProjectionAdministration
from workflows.amends.projections.builds import ProjectionBuilds
from workflows.amends.values.codec import dump

AllowSetAside = Annotated[bool, Query(description="Also if keys are set aside in it that the live build shows.")]
BuildNumber = Annotated[int | None, Query(ge=1, description="A build's number.")]


class WhichBuild(Body):
    """The build that is meant; without it the only one that the operation can mean."""

    build: int | None = Field(None, ge=1)


class ProjectionRoutes:
    """The routes below /projections."""

    def __init__(
        self,
        builds: ProjectionBuilds,
        administration: ProjectionAdministration,
        runners: Runners,
        requests: IdempotentRequests,
        reader: Reader,
    ) -> None:
        self._builds, self._administration, self._runners = builds, administration, runners
        self._requests, self._reader = requests, reader
        self.router = APIRouter(prefix="/projections", tags=["projections"])
        route = self.router.add_api_route
        route("", self.all, methods=["GET"])
        route("/{name}", self.one, methods=["GET"])
        route("/{name}/rebuild", self.rebuild, methods=["POST"], dependencies=OPERATORS, status_code=202)
        route("/{name}/verify", self.verify, methods=["GET"])
        route("/{name}/promote", self.promote, methods=["POST"], dependencies=OPERATORS)
        route("/{name}/drop", self.drop, methods=["POST"], dependencies=OPERATORS)
        route(
            "/{name}/set-aside/{key:path}/retry", self.retry, methods=["POST"], dependencies=OPERATORS, status_code=202
        )
        route("/{name}/set-aside/{key:path}/skip", self.skip, methods=["POST"], dependencies=OPERATORS, status_code=202)

    @responds(answers.Projections)
    async def all(self) -> dict[str, Any]:
        """Every read model: its builds, their lag, and the progress of a rebuild."""
        return {"projections": await read_model_report(self._builds)}

    @responds(answers.ProjectionDetail, NotFound)
    async def one(self, name: str) -> dict[str, Any]:
        """One read model, with the keys that are set aside and the events that were skipped."""
        await self._builds.require(name)
        (found,) = await read_model_report(self._builds, name)
        skipped = [dump(asdict(each), dict[str, Any]) for each in await self._builds.store.skipped_events(name)]
        return found | {"skipped_events": skipped}

    @responds(answers.BuildChanged, NotFound)
    async def rebuild(self, name: str, request: Request) -> dict[str, Any]:
        """Start a build of the newest version beside the live one."""
        return await self._once(
            request, {"rebuild": name}, partial(self._administration.rebuild, name, cause_of(request))
        )

    @responds(answers.Comparison, NotFound, Conflict)
    async def verify(self, name: str, one: BuildNumber = None, other: BuildNumber = None) -> dict[str, Any]:
        """Compare the live build with the rebuilt one, row by row, or any two builds."""
        found = await compare_builds(self._builds, self._reader, name, one, other)
        return {
            "name": name,
            "builds": [found.one, found.other],
            "rows": found.rows,
            "columns": found.columns,
            "moving": found.moving,
            "differing": len(found.differing),
            "examples": [each.key for each in found.differing[:20]],
        }

    @responds(answers.BuildChanged, NotFound)
    async def promote(
        self, name: str, request: Request, which: WhichBuild | None = None, allow_set_aside: AllowSetAside = False
    ) -> dict[str, Any]:
        """Let the view show the rebuilt table, or that of a retired build again."""
        build = which.build if which else None
        act = partial(self._administration.promote, name, build, cause_of(request), less=allow_set_aside)
        return await self._once(
            request, {"promote": name, "build": build} | ({"less": True} if allow_set_aside else {}), act
        )

    @responds(answers.BuildChanged, NotFound)
    async def drop(self, name: str, request: Request, which: WhichBuild | None = None) -> dict[str, Any]:
        """Drop a build that is not live, or all builds of a read model whose code is gone."""
        build = which.build if which else None
        act = partial(self._administration.drop, name, build, cause_of(request))
        return await self._once(request, {"drop": name, "build": build}, act)

    @responds(answers.ActionRequested, NotFound)
    async def retry(self, name: str, key: RowKey, why: Reason, request: Request) -> dict[str, Any]:
        """Apply the event of a key that is set aside, and those behind it, once more."""
        return await self._wish(name, key, "retry", why, request)

    @responds(answers.ActionRequested, NotFound)
    async def skip(self, name: str, key: RowKey, why: Reason, request: Request) -> dict[str, Any]:
        """Skip the event that cannot be applied, and apply those behind it."""
        return await self._wish(name, key, "skip", why, request)

    async def _wish(self, name: str, key: str, wish: RequestedAction, why: Reason, request: Request) -> dict[str, Any]:
        sent = {"name": name, "key": key, "wish": wish, "reason": why.reason}
        act = partial(self._administration.request_action, name, key, wish, why.reason, cause_of(request))
        return await self._once(request, sent, act)

    async def _once(
        self, request: Request, sent: Any, act: Callable[[IdempotencyKey | None], Awaitable[dict[str, Any]]]
    ) -> dict[str, Any]:
        """Carry out a request once per idempotency key, and let the runners look at once."""
        body = await self._requests.once(idempotency_key_of(request), sent, act)
        self._runners.check_work()
        return body
