"""The shop: its setting, its packers, its notes with a table of their own, and a command."""

from __future__ import annotations

from pathlib import Path

import httpx
from fastapi import APIRouter
from pydantic import Field

from app.amends.providers.http import HttpProvider
from app.amends.service import Parts, Service, ServiceContext
from app.amends.settings import Settings
from workflows.sell import Sell


class ShopSettings(Settings):
    packers_url: str = Field("http://127.0.0.1:9", description="where the packers are asked")


class HttpPackers:
    """The packers, who speak HTTP with idempotency keys."""

    def __init__(self, provider: HttpProvider) -> None:
        self._provider = provider

    async def pack(self, article: str, *, key: str) -> str:
        answer = await self._provider.request("POST", "/pack", json=article, headers={"Idempotency-Key": key})
        return str(answer.json())

    async def unpack(self, *, of: str, key: str) -> None:
        await self._provider.request("POST", "/unpack", json=of, headers={"Idempotency-Key": key})


def notes(host: ServiceContext[ShopSettings]) -> APIRouter:
    """What somebody has to say about a sale, in a table of the shop's own."""
    router = APIRouter(prefix="/notes", tags=["notes"])

    @router.put("/{sale}", status_code=204)
    async def note(sale: str, text: str) -> None:
        """Note something about a sale."""
        async with host.pool.connection() as connection:
            await connection.execute("insert into shop.notes (sale, note) values (%s, %s)", (sale, text))

    @router.get("/{sale}")
    async def noted(sale: str) -> list[str]:
        """What is noted about a sale."""
        async with host.pool.connection() as connection:
            found = await connection.execute("select note from shop.notes where sale = %s order by at", (sale,))
            return [note for (note,) in await found.fetchall()]

    return router


def build(host: ServiceContext[ShopSettings]) -> Parts:
    client = httpx.AsyncClient(base_url=host.settings.packers_url, timeout=60, trust_env=False)
    packers = HttpPackers(HttpProvider(host.providers.to("packers"), client))
    return Parts(sagas=[Sell(packers)], routers=[notes(host)], resources=[client])


def hello(name: str = "world") -> None:
    """Greet somebody."""
    print(f"Hello, {name}!")


service = Service(root=Path(__file__).parents[1], build=build, settings=ShopSettings, commands=[hello])
