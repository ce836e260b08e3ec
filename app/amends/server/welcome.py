"""What is said to a person once a server is up: where to look, where data are kept, and how to stop it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from app.amends.postgres.urls import parse_url, redacted_url
from app.amends.settings import Settings


def welcome_lines(here: str, settings: Settings, notes: Sequence[str]) -> Iterator[str]:
    """The lines below the one that says where the server is; `notes` are the service's own."""
    yield f"  API    {here}/workflows, documented at {here}/docs"
    yield f"  Data   {_data(settings)}"
    for each in notes:
        yield f"  Note   {each}"
    yield f"  Stop   Ctrl-C, or kill {os.getpid()}"


def _data(settings: Settings) -> str:
    if settings.database_url is None:
        return f"an embedded Postgres in {settings.data_dir / 'postgres'}"
    return f"{redacted_url(parse_url(settings.database_url))} (DATABASE_URL)"
