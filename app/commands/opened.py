"""What the commands share: the database in use, opened for as long as one command takes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.errors import Invalid

if TYPE_CHECKING:
    from app.console import Console

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def with_console(use: Callable[[Console], Awaitable[None]]) -> None:
    """Open the database in use, and migrate it if it is new."""
    from app.settings import read_settings

    settings = read_settings()
    from app.console import console
    from app.store.choose import database
    from app.store.preparing import prepare

    async def run() -> None:
        async with console(service) as opened:
            await use(opened)

    chosen = database(settings.database_url, settings.owner_url, settings.data_dir, settings.postgres_bin)
    with chosen as access:
        service = prepare(access.service, access.owner)
        asyncio.run(run())


def parsed(text: str) -> Any:
    """JSON that was given as text. Raises Invalid."""
    try:
        return json.loads(text, parse_constant=_no_number)
    except ValueError as error:
        raise Invalid("input", f"is not JSON: {error}") from error


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")
