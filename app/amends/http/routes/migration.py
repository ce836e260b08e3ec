"""Sagas under way, moved to another version of their code."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import Field

from app.amends.http.openapi.answers import sagas as answers
from app.amends.http.openapi.responses import responds
from app.amends.http.requests.bodies import Reason
from app.amends.http.requests.headers import cause_of, idempotency_key_of
from app.amends.http.requests.roles import OPERATORS
from app.amends.store.idempotent_requests import IdempotencyKey, IdempotentRequests
from domain.amends.errors import NotFound
from workflows.amends.compatibility.migration import Migrations
from workflows.amends.executor.engine import Engine
from workflows.amends.ports.event_store import StoredAnswer

NEWEST_VERSION = 2**31 - 1


class OtherVersion(Reason):
    """The version of its code with which a saga is to go on, and why."""

    version: int = Field(ge=1, le=NEWEST_VERSION)


class MigrationRoutes:
    """The route that moves a saga."""

    def __init__(self, engine: Engine, migrations: Migrations, requests: IdempotentRequests) -> None:
        self._engine, self._migrations, self._requests = engine, migrations, requests
        self.router = APIRouter(prefix="/workflows", tags=["workflows"])
        self.router.add_api_route(
            "/{id}/migrate", self.migrate, methods=["POST"], status_code=202, dependencies=OPERATORS
        )

    @responds(answers.Accepted, NotFound, at_once=answers.Movable)
    async def migrate(
        self, id: str, other: OtherVersion, request: Request, response: Response, dry_run: bool = False
    ) -> dict[str, Any]:
        """Let a saga that waits go on with another version of its code, if what is recorded of it fits that.

        With `dry_run` nothing is done: 200 if it would be moved. 409 says why it is not.
        """
        cause = cause_of(request)
        if dry_run:
            move = await self._migrations.require_movable(id, other.version)
            response.status_code = 200
            return {"id": id, "from_version": move.from_version, "version": move.to_version}

        async def move_once(key: IdempotencyKey | None) -> dict[str, Any]:
            kept = {"id": id, "act": "migrate", "version": other.version}
            answer = StoredAnswer(key.key, key.digest, kept) if key else None
            moved = await self._migrations.migrate(id, other.version, other.reason, cause, answer)
            self._engine.request_queue_check()
            return moved

        sent = {"id": id, "act": "migrate"} | other.model_dump()
        return await self._requests.once(idempotency_key_of(request), sent, move_once)
