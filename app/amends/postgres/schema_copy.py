"""Migrations tried on a copy of a database's schema: nothing of the database is changed, nor are its rows read."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import URL

from app.amends.postgres.embedded.logins import create_logins
from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.migrate import Migrations
from app.amends.postgres.urls import connection_settings, conninfo, parse_url, with_value_formats
from app.amends.security.passwords import without_secrets
from domain.amends.errors import StartupError
from workflows.amends.dbos import runtime

BOOKS = ["amends.alembic_version", "amends.schema_state", "dbos.dbos_migrations"]
"""The tables that say which migrations have run: of these the rows are copied too."""
SECONDS = 300.0


def try_migrations(url: URL, programs: Path, root: Path) -> list[str]:
    """Apply to a copy what is missing, of Amends, of DBOS and of the project; returns the names of the migrations.

    The copy is a server of its own, made and removed here. `programs` are those of a Postgres at least as new as the
    database. Raises StartupError with the words of whatever does not fit.
    """
    kept = [f"--table={table}" for table in _books(url)]  # a database that is away is said in our own words
    with tempfile.TemporaryDirectory(prefix="amends-schema-") as folder:
        Path(folder).chmod(0o755)
        copy = EmbeddedPostgres(Path(folder) / "postgres", programs)
        copy.start()
        try:
            copy.start_with_logins()
            _restore(copy, programs, _dump(url, programs, "--schema-only"))
            if kept:
                _restore(copy, programs, _dump(url, programs, "--data-only", *kept))
            create_logins(copy.url, {})  # what was restored belongs to the owner
            owner = parse_url(copy.owner_url)
            runtime.migrate(conninfo(with_value_formats(owner)))
            return Migrations(root, runtime.newest_migration()).upgrade(owner)
        finally:
            copy.stop()


def _books(url: URL) -> list[str]:
    with psycopg.connect(conninfo(url), **connection_settings(url, "schema copy")) as session:
        found = session.execute(
            "select name from unnest(%s::text[]) as name where to_regclass(name) is not null", (BOOKS,)
        )
        return [name for (name,) in found]


def _dump(url: URL, programs: Path, *options: str) -> str:
    return _program(url, programs / "pg_dump", "--no-owner", "--no-privileges", *options)


def _restore(copy: EmbeddedPostgres, programs: Path, sql: str) -> None:
    options = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file=-")
    _program(parse_url(copy.url), programs / "psql", *options, input=sql)


def _program(url: URL, program: Path, *options: str, input: str = "") -> str:
    """What a program of Postgres prints; its password is not among its arguments, which others can see."""
    given = {name: str(value) for name, value in conninfo_to_dict(conninfo(url)).items()}
    password = given.pop("password", "")
    command = [str(program), *options, f"--dbname={make_conninfo('', **given)}"]
    environment = os.environ | {"PGPASSWORD": password}
    try:
        done = subprocess.run(
            command, env=environment, input=input, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StartupError(
            f"{program.name} could not be run: {error}", "See that Postgres' programs are whole."
        ) from error
    if done.returncode:
        raise StartupError(
            f"The schema could not be copied: {without_secrets(done.stderr.strip())}",
            "Set AMENDS_POSTGRES_BIN to programs of a Postgres as new as the database.",
        )
    return done.stdout
