"""The fixtures of all tests. What they are made of is imported when needed: a test of plain code starts at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy import URL

    from app.amends.postgres.embedded.server import EmbeddedPostgres


@pytest.fixture(scope="session")
def postgres_18() -> Iterator[EmbeddedPostgres]:
    """The Postgres 18 of the package."""
    from tests.amends.harness import databases

    yield from databases.make_cluster(within=databases.memory(), made=databases.with_template)


@pytest.fixture(scope="session")
def postgres_15() -> Iterator[EmbeddedPostgres]:
    """The Postgres 15 of the system."""
    from tests.amends.harness import databases

    yield from databases.make_cluster(databases.require_15(), databases.memory(), made=databases.with_template)


@pytest.fixture(params=["postgres_18", "postgres_15"])
def database(request: pytest.FixtureRequest) -> Iterator[URL]:
    """A fresh migrated database, on each of the two servers."""
    from tests.amends.harness import databases

    cluster: EmbeddedPostgres = request.getfixturevalue(request.param)
    url = databases.fresh_database(cluster)
    yield url
    databases.drop_database(cluster, url)


@pytest.fixture
def database_18(postgres_18: EmbeddedPostgres) -> Iterator[URL]:
    """A fresh migrated database on Postgres 18."""
    from tests.amends.harness import databases

    url = databases.fresh_database(postgres_18)
    yield url
    databases.drop_database(postgres_18, url)


@pytest.fixture
def sql(database: URL) -> Iterator[psycopg.Connection]:
    """A superuser's connection to the fresh database."""
    import psycopg

    from app.amends.postgres.urls import conninfo

    with psycopg.connect(conninfo(database), autocommit=True) as connection:
        yield connection


@pytest.fixture
def sql_18(database_18: URL) -> Iterator[psycopg.Connection]:
    """The same on Postgres 18 alone."""
    import psycopg

    from app.amends.postgres.urls import conninfo

    with psycopg.connect(conninfo(database_18), autocommit=True) as connection:
        yield connection


@pytest.fixture
def cluster() -> Iterator[EmbeddedPostgres]:
    """A Postgres of one test's own, migrated, to be killed."""
    from tests.amends.harness import databases

    yield from databases.make_cluster(made=databases.migrated)
