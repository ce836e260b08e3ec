"""Whether this server lives, and whether it may be sent work."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from app.amends.http.openapi import answers
from app.amends.http.openapi.described import tells
from app.amends.http.problems import problem
from app.amends.postgres.connections.watch import Watch
from app.amends.postgres.liveness import Liveness
from app.amends.postgres.statements.committer import Committer
from workflows.amends.dbos.engine import Engine


class Health:
    """The routes that machines ask."""

    def __init__(self, engine: Engine, database: Watch, liveness: Liveness, committer: Committer) -> None:
        self._engine, self._database, self._liveness = engine, database, liveness
        self._committer = committer
        self.router = APIRouter(tags=["health"])
        self.router.add_api_route("/healthz", self.alive, methods=["GET"], response_model=None)
        self.router.add_api_route("/readyz", self.ready, methods=["GET"], response_model=None)

    @tells(answers.Alive, (503, "unfit", "This server has to be started again"))
    async def alive(self) -> dict[str, Any] | JSONResponse:
        """The process answers, and gets through to the database if that answers."""
        if self._liveness.problem:
            return problem(503, "unfit", "This server has to be started again", self._liveness.problem)
        return {"status": "ok", "executor": self._engine.executor}

    @tells(answers.Ready, (503, "not-ready", "Not ready"))
    async def ready(self) -> dict[str, Any] | JSONResponse:
        """The database answers and takes what is written, and this executor's lease holds."""
        if lacks := self._lacks():
            return problem(503, "not-ready", "Not ready", lacks)
        if error := self._liveness.problem or await self._database.problem() or self._database.unwritable:
            return problem(503, "not-ready", "Not ready", f"The database: {error}")
        if error := self._committer.problem:
            return problem(503, "not-ready", "Not ready", f"The database does not take what is written: {error}")
        return {"status": "ready", "executor": self._engine.executor, "running": len(self._engine.running)}

    def _lacks(self) -> str | None:
        """What this executor lacks; the renewal of its lease tells what the database says to those who write."""
        lease = self._engine.lease
        if self._engine.draining.is_set():
            return "This executor is shutting down."
        if lease.gone:
            return "This executor's lease was taken away: it gives up what it runs, and takes another one."
        if lease.problem:
            return f"The database does not renew this executor's lease: {lease.problem}"
        return None if lease.holds() else "This executor's lease does not hold."
