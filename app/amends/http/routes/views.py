"""Views: rows of read models, on request not before they have got to a position."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from app.amends.http.error_types import Behind
from app.amends.http.openapi.answers import projections as answers
from app.amends.http.openapi.responses import responds
from app.amends.http.requests.parameters import ANY_COLUMN, RowKey
from app.amends.projections.row_queries import ReadModelQueries as Rows
from app.amends.redaction.redactor import Redactor
from app.amends.store.events.postgres_events import PostgresEvents, WentBack
from domain.amends.errors import Conflict, NotFound
from domain.amends.vocabulary import Unreadable

PATIENCE, LONGEST = 10.0, 60.0
"""How long `after_position` waits, in seconds: by default, and at most."""
OURS = ("after_position", "timeout", "limit", "after")

Position = Annotated[str | None, Query(description="Wait until the read model has got to this place.")]
Timeout = Annotated[float, Query(gt=0, le=LONGEST, description="How long to wait for that, in seconds.")]


class ViewRoutes:
    """The routes below /views."""

    def __init__(self, rows: Rows, events: PostgresEvents, redactor: Redactor) -> None:
        self._rows, self._events, self._redactor = rows, events, redactor
        self.router = APIRouter(prefix="/views", tags=["views"])
        self.router.add_api_route("/{projection}", self.list, methods=["GET"], openapi_extra=ANY_COLUMN)
        self.router.add_api_route("/{projection}/{key:path}", self.get, methods=["GET"])

    @responds(answers.Rows, NotFound, Conflict, Behind, WentBack)
    async def list(
        self,
        projection: str,
        request: Request,
        after_position: Position = None,
        timeout: Timeout = PATIENCE,  # noqa: ASYNC109 (the caller's, not ours)
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        after: str | None = None,
    ) -> dict[str, Any]:
        """Rows in the order of their keys; other parameters are columns and the values that they must have.

        A `numeric` of the table is a string, exact to the last digit.
        """
        where = {name: value for name, value in request.query_params.items() if name not in OURS}
        await self._wait(projection, after_position, timeout)
        await self._redactor.require_unmarked(projection, where)
        rows, following = await self._rows.rows(projection, where, after, limit)
        sagas = self._redactor.sagas_with_reasons(projection, rows)
        shown = await self._redactor.serialise_redacted(
            lambda: [self._redactor.row(projection, row) for row in rows], sagas=sagas
        )
        return {"rows": shown, "next": following}

    @responds(dict[str, Any], NotFound, Conflict, Behind, Unreadable, WentBack)
    async def get(
        self,
        projection: str,
        key: RowKey,
        response: Response,
        after_position: Position = None,
        timeout: Timeout = PATIENCE,  # noqa: ASYNC109 (the caller's, not ours)
    ) -> dict[str, Any]:
        """One row. A `numeric` of the table is a string, exact to the last digit."""
        await self._wait(projection, after_position, timeout)
        row = await self._rows.row(projection, key)
        if row is None:
            raise NotFound(f"row of {projection}", key)
        shown: dict[str, Any] = await self._redactor.serialise_redacted(
            lambda: self._redactor.row(projection, row), sagas=self._redactor.sagas_with_reasons(projection, [row])
        )
        return shown

    async def _wait(self, name: str, position: str | None, seconds: float) -> None:
        self._rows.projection(name)
        if position is not None:
            cursor = await self._events.parse_after(position, "after_position")
            if not await self._rows.wait_for(name, cursor, seconds):
                raise Behind(name, position)
