"""Real databases for the tests: Postgres 18 from the package, Postgres 15 from the system, one fresh database each."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres import bootstrap
from app.amends.postgres.embedded.programs import find_binaries
from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.migrate import Migrations
from app.amends.postgres.urls import parse_url
from tests.amends.harness import ROOT
from tests.amends.harness.kept import lay

POSTGRES_15 = Path("/usr/lib/postgresql/15/bin")
MEMORY, ROOM = Path("/dev/shm"), 2 * 1024**3
"""Where databases are made ten times as fast as on a disk, and how many bytes must be free there."""
TEMPLATE = "amends_template"
MIGRATIONS = Migrations(ROOT)
"""All that this checkout has: Amends' branch, and the example's."""


def prepare(url: URL, owner: URL | None = None) -> URL:
    """Bring a database up to date as a server of this checkout does; returns the URL that it would use."""
    return bootstrap.prepare_database(url, owner, ROOT)


def bare(_: EmbeddedPostgres) -> None:
    """Nothing is done with a new cluster."""


def with_template(cluster: EmbeddedPostgres) -> None:
    """Make the template of fresh databases, with both schemas."""
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        connection.execute(f"create database {TEMPLATE}")
    prepare(parse_url(cluster.url).set(database=TEMPLATE))


def migrated(cluster: EmbeddedPostgres) -> None:
    """Make both schemas in the database that the cluster's URL names."""
    prepare(parse_url(cluster.url))


def make_cluster(
    programs: Path | None = None, within: Path | None = None, made: Callable[[EmbeddedPostgres], None] = bare
) -> Iterator[EmbeddedPostgres]:
    """A cluster of its own in a folder that any account may enter, gone afterwards; its data are a copy of `made`."""
    folder = Path(tempfile.mkdtemp(prefix="amends-test-", dir=within))
    folder.chmod(0o755)
    cluster = EmbeddedPostgres(folder / "postgres", programs or find_binaries())
    try:
        lay(cluster, made.__name__, made)
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def memory() -> Path | None:
    """A folder in memory for databases that nobody kills, if there is one with room."""
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM else None


def require_15() -> Path:
    """Where Postgres 15 is; without it the test is skipped, and fails in CI."""
    if not POSTGRES_15.exists():
        if os.environ.get("CI"):
            pytest.fail(f"There is no Postgres 15 in {POSTGRES_15}: install Debian's postgresql-15.")
        pytest.skip(f"There is no Postgres 15 in {POSTGRES_15}.")
    return POSTGRES_15


def fresh_database(cluster: EmbeddedPostgres) -> URL:
    """A new database with both schemas, made from the template: copying its files is quicker than its pages."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        known = connection.execute("select from pg_database where datname = %s", (TEMPLATE,)).fetchone()
        if known is None:
            with_template(cluster)
        connection.execute(f"create database {name} template {TEMPLATE} strategy file_copy")
    return parse_url(cluster.url).set(database=name)


def drop_database(cluster: EmbeddedPostgres, url: URL) -> None:
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        connection.execute(f"drop database if exists {url.database} with (force)")
