"""Whether this server lives, and whether it may be sent work."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from app.http.problems import problem
from app.store.committer import Unavailable
from app.store.reader import Reader
from workflows.durable.engine import Engine


class Health:
    """The routes that machines ask."""

    def __init__(self, engine: Engine, reader: Reader) -> None:
        self._engine, self._reader = engine, reader
        self.router = APIRouter(tags=["health"])
        self.router.add_api_route("/healthz", self.alive, methods=["GET"])
        self.router.add_api_route("/readyz", self.ready, methods=["GET"], response_model=None)

    async def alive(self) -> dict[str, Any]:
        """The process answers."""
        return {"status": "ok", "executor": self._engine.executor}

    async def ready(self) -> dict[str, Any] | JSONResponse:
        """The database answers, and this executor's lease holds."""
        if not self._engine.ready:
            return problem(
                503, "not-ready", "Not ready", "This executor's lease does not hold, or it is shutting down."
            )
        try:
            await self._reader.rows("select 1", (), patience=2.0)
        except Unavailable as error:
            return problem(503, "not-ready", "Not ready", str(error))
        return {"status": "ready", "executor": self._engine.executor, "running": len(self._engine.running)}
