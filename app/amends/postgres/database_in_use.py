"""The database in use: the one whose URL is set, else an embedded one that is started for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL

from app.amends.postgres.embedded.logins import DATABASE
from app.amends.postgres.embedded.programs import find_binaries
from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import parse_url
from app.amends.security.passwords import hide_url_secrets
from domain.amends.errors import StartupError


def make_embedded_postgres(data_dir: Path, programs: Path | None, database: str = DATABASE) -> EmbeddedPostgres:
    """The embedded Postgres below a folder; it is not started. `database` is what a new one calls its database.

    Raises StartupError if there are no programs.
    """
    if programs is not None and not (programs / "postgres").is_file():
        raise StartupError(
            f"There is no program postgres in {programs}.",
            "Set AMENDS_POSTGRES_BIN to a folder that has it, or unset it.",
        )
    return EmbeddedPostgres(data_dir / "postgres", programs or find_binaries(), database)


@dataclass(frozen=True)
class DatabaseUrls:
    """The two URLs of one database: of the service, and of the owner of the tables, who migrates."""

    service: URL
    owner: URL


@contextmanager
def running_database(
    url: str | None, owner: URL | None, data_dir: Path, programs: Path | None, database: str = DATABASE
) -> Iterator[DatabaseUrls]:
    """The database in use; an embedded one is stopped by its last user. `owner` is the URL that migrates, if another
    one."""
    if url is not None:
        given = parse_url(url)
        yield DatabaseUrls(given, owner or given)
        return
    embedded = make_embedded_postgres(data_dir, programs, database)
    try:
        embedded.use()
        for made in (embedded.url, embedded.service_url, embedded.owner_url):
            hide_url_secrets(made)
        yield DatabaseUrls(parse_url(embedded.service_url), parse_url(embedded.owner_url))
    finally:
        embedded.release()
