"""How the read models stand, and what operators do with them: rebuild, compare, promote, drop, retry, skip."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from app.http.bodies import Why
from app.http.guards import cause_of, key_of
from app.projections.builds import Builds
from app.projections.reporting import report
from app.projections.runners import Runners
from app.projections.set_aside import SetAsides, Wish
from app.projections.verifying import verify
from app.store.reader import Reader
from app.store.requests import Key, Requests
from domain.projection_story import BuildBegun, BuildDropped, BuildPromoted
from workflows.codec import dump
from workflows.events import Answer

Number = Annotated[int | None, Query(ge=1, description="A table's number.")]


class Which(BaseModel):
    """Which table of a read model is meant; without it the one that suggests itself."""

    model_config = ConfigDict(extra="forbid", strict=True)

    build: int | None = Field(None, ge=1)


class Projections:
    """The routes below /projections."""

    def __init__(self, builds: Builds, aside: SetAsides, runners: Runners, requests: Requests, reader: Reader) -> None:
        self._builds, self._aside, self._runners = builds, aside, runners
        self._requests, self._reader = requests, reader
        self.router = APIRouter(prefix="/projections", tags=["projections"])
        route = self.router.add_api_route
        route("", self.all, methods=["GET"])
        route("/{name}", self.one, methods=["GET"])
        route("/{name}/rebuild", self.rebuild, methods=["POST"], status_code=202)
        route("/{name}/verify", self.verify, methods=["GET"])
        route("/{name}/promote", self.promote, methods=["POST"])
        route("/{name}/drop", self.drop, methods=["POST"])
        route("/{name}/set-aside/{key:path}/retry", self.retry, methods=["POST"], status_code=202)
        route("/{name}/set-aside/{key:path}/skip", self.skip, methods=["POST"], status_code=202)

    async def all(self) -> dict[str, Any]:
        """Every read model: its tables, how far behind they are, and how far a rebuild has got."""
        return {"projections": await report(self._builds)}

    async def one(self, name: str) -> dict[str, Any]:
        """One read model, with what is set aside."""
        self._builds.newest(name)
        (found,) = await report(self._builds, name)
        aside = [dump(asdict(each), dict[str, Any]) for each in await self._aside.all(name)]
        return found | {"set_aside_keys": aside}

    async def rebuild(self, name: str, request: Request) -> dict[str, Any]:
        """Begin a table of the newest version beside the live one."""

        async def act() -> tuple[object, dict[str, Any]]:
            build = await self._builds.rebuild(name)
            self._runners.look()
            return BuildBegun(name, build.build, build.version), (await report(self._builds, name))[0]

        return await self._once(request, name, {"rebuild": name}, act)

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

    async def promote(self, name: str, request: Request, which: Which | None = None) -> dict[str, Any]:
        """Let the view show the rebuilt table, or a retired one again."""
        wanted = which.build if which else None

        async def act() -> tuple[object, dict[str, Any]]:
            build = await self._builds.promote(name, wanted)
            return BuildPromoted(name, build.build, build.version), (await report(self._builds, name))[0]

        return await self._once(request, name, {"promote": name, "build": wanted}, act)

    async def drop(self, name: str, request: Request, which: Which | None = None) -> dict[str, Any]:
        """Drop a table that is not live."""
        wanted = which.build if which else None

        async def act() -> tuple[object, dict[str, Any]]:
            build = await self._builds.drop(name, wanted)
            return BuildDropped(name, build.build, build.version), {"name": name, "dropped": build.build}

        return await self._once(request, name, {"drop": name, "build": wanted}, act)

    async def retry(self, name: str, key: str, why: Why, request: Request) -> dict[str, Any]:
        """Apply the event that was set aside, and those behind it, once more."""
        return await self._wish(name, key, "retry", why, request)

    async def skip(self, name: str, key: str, why: Why, request: Request) -> dict[str, Any]:
        """Leave out the event that cannot be applied, and go on with those behind it."""
        return await self._wish(name, key, "skip", why, request)

    async def _wish(self, name: str, key: str, wish: Wish, why: Why, request: Request) -> dict[str, Any]:
        body, cause = {"name": name, "key": key, "wish": wish}, cause_of(request)

        async def note(once: Key | None) -> dict[str, Any]:
            answer = Answer(once.key, once.digest, body) if once else None
            place = await self._aside.wish(name, key, wish, why.reason, cause, answer)
            self._runners.look()
            return body | {"position": str(place)}

        return await self._requests.once(key_of(request), body | {"reason": why.reason}, note)

    async def _once(
        self, request: Request, name: str, asked: Any, act: Callable[[], Awaitable[tuple[object, dict[str, Any]]]]
    ) -> dict[str, Any]:
        """Act, tell it, and keep the answer, once for each idempotency key."""

        async def tell(once: Key | None) -> dict[str, Any]:
            told, body = await act()
            answer = Answer(once.key, once.digest, body) if once else None
            place = await self._builds.tell(name, [told], cause_of(request), answer)
            return body | {"position": str(place)}

        return await self._requests.once(key_of(request), asked, tell)
