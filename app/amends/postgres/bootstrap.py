"""Brings a database up to date before anything is done with it, and waits for one that is not there yet."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError

from app.amends.output.code_errors import team_code
from app.amends.postgres import migrate, roles
from app.amends.postgres.checks.dbos_schema import require_known_dbos_schema
from app.amends.postgres.checks.server_usability import require_role_and_limits, require_usable_server
from app.amends.postgres.generations import require_current_generation
from app.amends.postgres.migrate import MigratedSchema, Migrations
from app.amends.postgres.roles import ServiceRole
from app.amends.postgres.sqlstates import Verdict, message_of, verdict
from app.amends.postgres.urls import connection_settings, conninfo, redacted_url, with_value_formats
from domain.amends.errors import NotYet, StartupError
from workflows.amends.dbos import runtime

log = logging.getLogger("amends")

AGAIN_SECONDS: Final = 0.5
SAY_SECONDS: Final = 5.0
"""How often it is said what a database that is waited for says, and how far a long migration has come."""


def prepare_database_in_time(url: URL, owner: URL | None, root: Path, seconds: float) -> URL:
    """`prepare`, once the database lets us in. Raises StartupError if it does not within so many seconds."""
    until, say_at = time.monotonic() + seconds, 0.0
    while True:
        try:
            return prepare_database(url, owner, root)
        except NotYet as away:
            now = time.monotonic()
            if now >= until:
                waited = f" It was waited for for {seconds:g} s." if seconds else ""
                raise StartupError(away.problem + waited, away.remedy) from None
            if now >= say_at:
                log.warning("The database is waited for, for %.0f s at most: %s", until - now, away.problem)
                say_at = now + SAY_SECONDS
            time.sleep(min(AGAIN_SECONDS, until - now))


def prepare_database(url: URL, owner: URL | None = None, root: Path | None = None) -> URL:
    """Check the server and bring both schemas up to date; returns the URL that the service is to use.

    `owner` is who migrates, if that is somebody else; below `root` are the project's migrations. Raises StartupError.
    """
    owner = owner or url
    require_usable_server(url)
    require_usable_server(owner)
    with team_code(), _may_pass(owner):  # whose migrations may be wrong
        return _up_to_date(url, owner, Migrations(root, runtime.newest_migration()))


def database_as_it_is(url: URL) -> URL | None:
    """The URL by which a database is only read, by code that may be newer than its schema; None if there is no schema.

    Nothing is migrated, and its transactions can write nothing. Raises StartupError.
    """
    require_usable_server(url)
    with _may_pass(url), psycopg.connect(conninfo(url), **connection_settings(url, "look")) as session:
        if not migrate.read_schema(session).oldest:
            return None
        role = roles.read_service_role(session, url.username)
    return roles.read_only(roles.url_under_role(url, role))


def _up_to_date(url: URL, owner: URL, migrations: Migrations) -> URL:
    with psycopg.connect(conninfo(owner), **connection_settings(owner, "upgrade")) as session:
        schema = migrate.read_schema(session)
        ahead = migrations.is_ahead(schema.oldest)
        if not ahead:
            runtime.migrate(conninfo(with_value_formats(owner)))
        role = (roles.read_service_role if ahead else roles.join_service_role)(session, url.username)
    if ahead:
        found, known = ", ".join(sorted(schema.oldest)), ", ".join(sorted(migrations.newest_revisions()))
        log.warning("The schema is %s, of a newer version, which this one (%s) can work with.", found, known)
    else:
        role = _upgraded(owner, migrations, schema, role)
    require_known_dbos_schema(owner, migrations.dbos)
    require_current_generation(owner)
    return require_role_and_limits(roles.url_under_role(url, role))


def _upgraded(owner: URL, migrations: Migrations, schema: MigratedSchema, role: ServiceRole) -> ServiceRole:
    """Apply what is missing, also to a role that has no rights yet; returns how the role stands then."""
    lacks_rights = role.exists and not role.has_rights
    if migrations.is_in_force(schema) and not lacks_rights:
        return role
    if names := migrations.upgrade(owner, anew=lacks_rights, applied=_progress()):
        heads = ", ".join(sorted(migrations.newest_revisions()))
        log.info("The database was migrated to %s: %d migrations were applied.", heads, len(names))
    return role._replace(has_rights=role.exists)


def _progress() -> Callable[[int, str], None]:
    """Told of each migration with how many there were: one line every few seconds, where it takes long."""
    said_at = time.monotonic()

    def applied(number: int, name: str) -> None:
        nonlocal said_at
        log.debug("Migrated: %s", name)
        if time.monotonic() - said_at >= SAY_SECONDS:
            said_at = time.monotonic()
            log.info("The database is being migrated: %d migrations so far, the last one: %s", number, name)

    return applied


@contextmanager
def _may_pass(owner: URL) -> Iterator[None]:
    """A database that goes away while it is brought up to date, or that others hold locked, is one that is away."""
    try:
        yield
    except (psycopg.Error, DBAPIError, OSError) as error:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
        if verdict(cause, ours=True) not in (Verdict.AWAY, Verdict.BUSY):
            raise
        what = f"The database does not let itself be brought up to date: {message_of(cause)}"
        raise NotYet(what, f"Look at the database ({redacted_url(owner)}).") from error
