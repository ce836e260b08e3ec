"""The other systems that sagas call: which of them are down, and how many sagas wait for them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from app.amends.http.openapi import answers
from app.amends.http.openapi.described import tells
from app.amends.http.shown import at
from app.amends.postgres.statements.reader import Reader
from app.amends.store.outages import outages


class Providers:
    """The route /providers."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.router = APIRouter(tags=["health"])
        self.router.add_api_route("/providers", self.down, methods=["GET"])

    @tells(answers.Outages)
    async def down(self) -> dict[str, Any]:
        """Providers that do not answer; the list is empty when all is well."""
        rows = await outages(self._reader)
        return {"down": [row | {"down_since": at(row["down_since"])} for row in rows]}
