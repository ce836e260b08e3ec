"""The context of a command: the project, its settings, and its database, open for as long as the command takes."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.amends.errors import Invalid, StartupError

if TYPE_CHECKING:
    from sqlalchemy import URL

    from app.amends.cli.command_context import CommandContext
    from app.amends.postgres.database_in_use import DatabaseUrls
    from app.amends.service import Service
    from app.amends.settings import Settings

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def has_project() -> bool:
    """Whether there is an `app/main.py` here, sound or not."""
    return importlib.util.find_spec("app.main") is not None


@cache
def project_service() -> Service[Any]:
    """The service of the project in whose folder a command runs. Raises StartupError if there is none."""
    from app.amends.service import Service

    if not has_project():
        raise StartupError("There is no app/main.py here.", "Run this in the folder of a project of Amends.")
    from app.amends.output.code_errors import team_code

    with team_code():
        found = getattr(importlib.import_module("app.main"), "service", None)
    if not isinstance(found, Service):
        raise StartupError(
            "app/main.py has no `service`.", "Give it one: service = Service(root=…, build=…, settings=…)."
        )
    return found


def project_settings() -> Settings:
    """The settings of that service. Raises StartupError."""
    from app.amends.settings import read_settings

    service = project_service()
    settings: Settings = read_settings(service.settings, service.root)
    return settings


@contextmanager
def database_in_use() -> Iterator[DatabaseUrls]:
    """The database that the settings name; an embedded one runs as long as this is open."""
    settings = project_settings()
    from app.amends.postgres.database_in_use import running_database

    with running_database(
        settings.database_url,
        settings.owner_url,
        settings.data_dir,
        settings.postgres_bin,
        project_service().database_name,
    ) as access:
        yield access


def run_on_database(use: Callable[[CommandContext], Awaitable[None]]) -> None:
    """Open the database in use, and migrate it if it is new."""
    with database_in_use() as access:
        from app.amends.postgres.bootstrap import prepare_database

        asyncio.run(_use(prepare_database(access.service, access.owner, project_service().root), use))


def look_at_database(use: Callable[[CommandContext], Awaitable[None]]) -> bool:
    """Open the database in use as it is, to be read alone; False if it has no schema of Amends yet."""
    with database_in_use() as access:
        from app.amends.postgres.bootstrap import database_as_it_is

        if (url := database_as_it_is(access.service)) is not None:
            asyncio.run(_use(url, use))
        return url is not None


async def _use(url: URL, use: Callable[[CommandContext], Awaitable[None]]) -> None:
    from app.amends.cli.command_context import command_context

    async with command_context(project_service(), project_settings(), url) as opened:
        await use(opened)


def parse_json_argument(text: str) -> Any:
    """JSON that was given as text. Raises Invalid."""
    try:
        return json.loads(text, parse_constant=_no_number)
    except ValueError as error:
        raise Invalid("input", f"is not JSON: {error}") from error


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number of JSON")
