"""Outages of providers, the other systems that sagas call, and how many sagas wait for them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from app.amends.http.openapi.answers import service as answers
from app.amends.http.openapi.responses import responds
from app.amends.http.serialisation import timestamp
from app.amends.postgres.statements.reader import Reader
from app.amends.store.outages import provider_outages


class ProviderRoutes:
    """The route /providers."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.router = APIRouter(tags=["health"])
        self.router.add_api_route("/providers", self.down, methods=["GET"])

    @responds(answers.Outages)
    async def down(self) -> dict[str, Any]:
        """Providers that do not answer; the list is empty when all is well."""
        rows = await provider_outages(self._reader)
        return {"down": [row | {"down_since": timestamp(row["down_since"])} for row in rows]}
