"""Lists of business processes: all that match filters, and what needs a person."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from fastapi import APIRouter, Query

from app.amends.http.openapi.answers import sagas as answers
from app.amends.http.openapi.responses import responds
from app.amends.http.requests.parameters import Instant
from app.amends.http.serialisation import cause_json, saga_row_json, sagas_with_reasons
from app.amends.redaction.redactor import Redactor
from app.amends.store.sagas.causes import CauseGroups
from app.amends.store.sagas.filters import SagaFilters
from app.amends.store.sagas.summaries import SagaSummaries
from workflows.amends.history import Status

Limit = Annotated[int, Query(ge=1, le=1000)]
Version = Annotated[int | None, Query(ge=1, le=2**31 - 1)]
AStatus = Annotated[str | None, Query(json_schema_extra={"enum": list(get_args(Status))})]


class WorkflowListRoutes:
    """The routes /workflows and /workflows/causes, before those with an id in their place."""

    def __init__(self, overview: SagaSummaries, causes: CauseGroups, redactor: Redactor) -> None:
        self._overview, self._causes, self._redactor = overview, causes, redactor
        self.router = APIRouter(prefix="/workflows", tags=["workflows"])
        self.router.add_api_route("", self.list, methods=["GET"])
        self.router.add_api_route("/causes", self.causes, methods=["GET"])

    @responds(answers.Sagas)
    async def list(
        self,
        name: str | None = None,
        version: Version = None,
        status: AStatus = None,
        reference: str | None = None,
        step: str | None = None,
        error: str | None = None,
        actor: str | None = None,
        cause: str | None = None,
        started_after: Instant | None = None,
        started_before: Instant | None = None,
        correlation_id: str | None = None,
        parent: str | None = None,
        count: bool = False,
        limit: Limit = 50,
        cursor: str | None = None,
    ) -> dict[str, Any]:
        """Sagas that match all filters, newest first; with `count`, how many they are, of 10,000 at most.

        `step` is that at which a saga is suspended, `error` a part of the error of its cause, `actor` who started it.
        """
        filters = SagaFilters(
            name=name,
            version=version,
            status=status,
            reference=reference,
            step=step,
            error=error,
            actor=actor,
            cause=cause,
            started_after=started_after,
            started_before=started_before,
            correlation_id=correlation_id,
            parent=parent,
        )
        rows, after = await self._overview.page(filters, limit, cursor)
        counted = {"count": vars(await self._overview.count(filters))} if count else {}
        shown = await self._redactor.serialise_redacted(
            lambda: [saga_row_json(row, self._redactor) for row in rows], sagas=sagas_with_reasons(rows)
        )
        return {"workflows": shown, "next": after} | counted

    @responds(answers.Causes)
    async def causes(self) -> dict[str, Any]:
        """What needs a person, grouped by cause, the largest groups first.

        Sagas that are stuck, stranded or abandoned, those that wait for a provider or at a brake for long, and keys of
        read models that are set aside.
        """
        return {"causes": [cause_json(group) for group in await self._causes.all()]}
