"""The other systems that sagas call: which of them are down, and how many sagas wait for them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from app.http import answers
from app.http.described import tells
from app.http.shown import at
from app.store.outages import outages
from app.store.reader import Reader


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
