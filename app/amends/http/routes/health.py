"""Liveness and readiness of this server."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from app.amends.http.openapi.answers import service as answers
from app.amends.http.openapi.responses import responds
from app.amends.http.problem_types import NOT_READY, UNFIT
from app.amends.http.problems import problem_response
from app.amends.postgres.connections.watch import DatabaseWatch
from app.amends.postgres.liveness import Liveness
from app.amends.postgres.statements.committer import Committer
from workflows.amends.executor.engine import Engine


class HealthRoutes:
    """The routes /healthz and /readyz."""

    def __init__(self, engine: Engine, database: DatabaseWatch, liveness: Liveness, committer: Committer) -> None:
        self._engine, self._database, self._liveness = engine, database, liveness
        self._committer = committer
        self.router = APIRouter(tags=["health"])
        self.router.add_api_route("/healthz", self.alive, methods=["GET"], response_model=None)
        self.router.add_api_route("/readyz", self.ready, methods=["GET"], response_model=None)

    @responds(answers.Alive, UNFIT)
    async def alive(self) -> dict[str, Any] | JSONResponse:
        """The process is alive: it answers, and reaches the database whenever that answers."""
        if self._liveness.problem:
            return problem_response(UNFIT, self._liveness.problem)
        return {"status": "ok", "executor": self._engine.executor}

    @responds(answers.Ready, NOT_READY)
    async def ready(self) -> dict[str, Any] | JSONResponse:
        """The server may be sent work: the database answers and takes writes, and this executor's lease holds."""
        if lacks := self._lacks():
            return problem_response(NOT_READY, lacks)
        if error := self._liveness.problem or await self._database.ask_problem() or self._database.unwritable:
            return problem_response(NOT_READY, f"The database: {error}")
        if error := self._committer.problem:
            return problem_response(NOT_READY, f"The database does not take what is written: {error}")
        return {"status": "ready", "executor": self._engine.executor, "running": len(self._engine.running)}

    def _lacks(self) -> str | None:
        """Why this executor is not ready, None if it is; the renewal of its lease is a write that shows what fails."""
        lease = self._engine.lease
        if self._engine.draining.is_set():
            return "This executor is shutting down."
        if lease.gone:
            return "This executor's lease was taken away: it gives up what it runs, and takes another one."
        if lease.problem:
            return f"The database does not renew this executor's lease: {lease.problem}"
        return None if lease.is_held() else "This executor's lease does not hold."
