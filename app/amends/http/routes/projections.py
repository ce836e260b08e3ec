"""How the read models stand, and what operators do with them: rebuild, compare, promote, drop, retry, skip."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import Field

from app.amends.http.openapi import answers
from app.amends.http.openapi.described import tells
from app.amends.http.requests.bodies import Body, Reason
from app.amends.http.requests.guards import cause_of, key_of
from app.amends.http.requests.parameters import RowKey
from app.amends.http.requests.roles import OPERATORS
from app.amends.postgres.statements.reader import Reader
from app.amends.projections.administration import Administration
from app.amends.projections.builds import Builds
from app.amends.projections.dead_letters import Wish
from app.amends.projections.reporting import report
from app.amends.projections.runners import Runners
from app.amends.projections.verifying import verify
from app.amends.store.requests import Key, Requests
from domain.amends.errors import Conflict, NotFound
from workflows.amends.values.codec import dump

Less = Annotated[bool, Query(description="Also if keys are set aside in it that the live table shows.")]
Number = Annotated[int | None, Query(ge=1, description="A table's number.")]


class Which(Body):
    """Which table of a read model is meant; without it the one that suggests itself."""

    build: int | None = Field(None, ge=1)


class Projections:
    """The routes below /projections."""

    def __init__(
        self, builds: Builds, acts: Administration, runners: Runners, requests: Requests, reader: Reader
    ) -> None:
        self._builds, self._acts, self._runners = builds, acts, runners
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

    @tells(answers.Projections)
    async def all(self) -> dict[str, Any]:
        """Every read model: its tables, how far behind they are, and how far a rebuild has got."""
        return {"projections": await report(self._builds)}

    @tells(answers.ProjectionInFull, NotFound)
    async def one(self, name: str) -> dict[str, Any]:
        """One read model, with what is set aside and what was skipped."""
        await self._builds.require(name)
        (found,) = await report(self._builds, name)
        skipped = [dump(asdict(each), dict[str, Any]) for each in await self._acts.asides.skipped(name)]
        return found | {"skipped_events": skipped}

    @tells(answers.Built, NotFound)
    async def rebuild(self, name: str, request: Request) -> dict[str, Any]:
        """Begin a table of the newest version beside the live one."""
        return await self._once(request, {"rebuild": name}, partial(self._acts.rebuild, name, cause_of(request)))

    @tells(answers.Verified, NotFound, Conflict)
    async def verify(self, name: str, one: Number = None, other: Number = None) -> dict[str, Any]:
        """Compare the live table with the rebuilt one, row by row, or any two tables."""
        found = await verify(self._builds, self._reader, name, one, other)
        return {
            "name": name,
            "builds": [found.one, found.other],
            "rows": found.rows,
            "columns": found.columns,
            "moving": found.moving,
            "differing": len(found.differing),
            "examples": [each.key for each in found.differing[:20]],
        }

    @tells(answers.Built, NotFound)
    async def promote(
        self, name: str, request: Request, which: Which | None = None, allow_set_aside: Less = False
    ) -> dict[str, Any]:
        """Let the view show the rebuilt table, or a retired one again."""
        build = which.build if which else None
        act = partial(self._acts.promote, name, build, cause_of(request), less=allow_set_aside)
        return await self._once(
            request, {"promote": name, "build": build} | ({"less": True} if allow_set_aside else {}), act
        )

    @tells(answers.Built, NotFound)
    async def drop(self, name: str, request: Request, which: Which | None = None) -> dict[str, Any]:
        """Drop a table that is not live, or all of a read model whose code is gone."""
        build = which.build if which else None
        act = partial(self._acts.drop, name, build, cause_of(request))
        return await self._once(request, {"drop": name, "build": build}, act)

    @tells(answers.Wished, NotFound)
    async def retry(self, name: str, key: RowKey, why: Reason, request: Request) -> dict[str, Any]:
        """Apply the event that was set aside, and those behind it, once more."""
        return await self._wish(name, key, "retry", why, request)

    @tells(answers.Wished, NotFound)
    async def skip(self, name: str, key: RowKey, why: Reason, request: Request) -> dict[str, Any]:
        """Leave out the event that cannot be applied, and go on with those behind it."""
        return await self._wish(name, key, "skip", why, request)

    async def _wish(self, name: str, key: str, wish: Wish, why: Reason, request: Request) -> dict[str, Any]:
        asked = {"name": name, "key": key, "wish": wish, "reason": why.reason}
        act = partial(self._acts.wish, name, key, wish, why.reason, cause_of(request))
        return await self._once(request, asked, act)

    async def _once(
        self, request: Request, asked: Any, act: Callable[[Key | None], Awaitable[dict[str, Any]]]
    ) -> dict[str, Any]:
        """Act once for each idempotency key, and let the runners look at once."""
        body = await self._requests.once(key_of(request), asked, act)
        self._runners.look()
        return body
