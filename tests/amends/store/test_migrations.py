"""A database that was migrated step by step is as a fresh one, and an older server leaves a newer one alone."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.migrate import OURS, Migrations
from app.amends.postgres.urls import conninfo, parse_url
from domain.amends.errors import StartupError
from tests.amends.harness.databases import make_cluster
from tests.amends.harness.databases import memory as in_memory
from workflows.amends.dbos import runtime

REVISIONS = sorted(path.name[:4] for path in (OURS / "versions").glob("0*.py"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedPostgres]:
    from app.amends.postgres.embedded.server import find_binaries

    for made in make_cluster(find_binaries(), in_memory()):
        with psycopg.connect(made.url, autocommit=True) as sql:
            sql.execute("create role amends_service nologin")
            sql.execute("create database walking")
        runtime.migrate(conninfo(parse_url(made.url).set(database="walking")))
        yield made


def copied(cluster: EmbeddedPostgres, name: str) -> URL:
    """A copy of the database that walks from one revision to the next."""
    with psycopg.connect(cluster.url, autocommit=True) as sql:
        sql.execute(f"create database {name} template walking")
    return parse_url(cluster.url).set(database=name)


def schema(cluster: EmbeddedPostgres, url: URL) -> list[str]:
    """Everything that is declared in a database, rights included, as lines."""
    dump = [str(cluster.programs / "pg_dump"), "--schema-only", "--schema=amends", "--schema=views", "--dbname"]
    done = subprocess.run([*dump, conninfo(url)], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if not line.startswith(("--", "\\", "SET", "SELECT"))]


@pytest.fixture(scope="module")
def fresh(cluster: EmbeddedPostgres) -> list[str]:
    url = copied(cluster, "fresh")
    assert Migrations().upgrade(url).applied
    return schema(cluster, url)


def test_from_every_revision_an_upgrade_leads_to_the_schema_of_a_fresh_database(
    cluster: EmbeddedPostgres, fresh: list[str]
) -> None:
    walking = parse_url(cluster.url).set(database="walking")
    for revision in REVISIONS[:-1]:
        Migrations().upgrade(walking, revision)
        url = copied(cluster, f"from_{revision}")
        assert len(Migrations().upgrade(url).applied) == len(REVISIONS) - int(revision)
        assert schema(cluster, url) == fresh, f"from {revision}"


def test_each_function_in_force_has_a_file_and_each_file_one_function(
    cluster: EmbeddedPostgres, fresh: list[str]
) -> None:
    with psycopg.connect(conninfo(parse_url(cluster.url).set(database="fresh"))) as sql:
        made = sql.execute(
            "select distinct proname from pg_proc where pronamespace = 'amends'::regnamespace"
        ).fetchall()
    assert {name for (name,) in made} == {path.stem for path in (OURS / "functions").glob("*.sql")}
    for path in (OURS / "functions").glob("*.sql"):
        assert f"create or replace function amends.{path.stem}(" in path.read_text()
    for path in (OURS / "sql").glob("*.sql"):
        assert "create function" not in path.read_text()
        assert "create or replace function" not in path.read_text()


@pytest.fixture
def upgraded(cluster: EmbeddedPostgres, fresh: list[str], request: pytest.FixtureRequest) -> URL:
    name = f"own_{abs(hash(request.node.name)) % 10**9}"
    with psycopg.connect(cluster.url, autocommit=True) as sql:
        sql.execute(f"create database {name} template fresh")
    return parse_url(cluster.url).set(database=name)


def newer(url: URL, oldest: str) -> None:
    """What a newer version leaves: a revision that nobody here knows, and another body of a function."""
    with psycopg.connect(conninfo(url), autocommit=True) as sql:
        sql.execute("update amends.alembic_version set version_num = '9999'")
        sql.execute("update amends.schema_state set revision = '9999', oldest = %s, applied = 'newer'", (oldest,))
        sql.execute(
            "create or replace function amends.as_of() returns bigint language sql stable as 'select 7::bigint'"
        )
        sql.execute("revoke select on amends.losses from amends_service")


def test_a_server_works_on_a_newer_schema_that_is_compatible_with_it_and_changes_nothing(
    cluster: EmbeddedPostgres, upgraded: URL, caplog: pytest.LogCaptureFixture
) -> None:
    newer(upgraded, oldest=REVISIONS[-1])
    before = schema(cluster, upgraded)
    with caplog.at_level(logging.WARNING, "amends.migrate"):
        assert Migrations().upgrade(upgraded) == ((), True)
    assert [each.getMessage() for each in caplog.records] == [
        f"The schema is 9999, of a newer version that this one ({REVISIONS[-1]}) can work with."
    ]
    assert schema(cluster, upgraded) == before


def test_a_server_refuses_a_newer_schema_that_it_is_too_old_for(cluster: EmbeddedPostgres, upgraded: URL) -> None:
    newer(upgraded, oldest="9998")
    before = schema(cluster, upgraded)
    with pytest.raises(StartupError, match="migrated by a newer version"):
        Migrations().upgrade(upgraded)
    assert schema(cluster, upgraded) == before


def test_functions_and_rights_are_applied_by_upgrades_alone(
    cluster: EmbeddedPostgres, fresh: list[str], upgraded: URL
) -> None:
    with psycopg.connect(conninfo(upgraded), autocommit=True) as sql:
        sql.execute("revoke select on amends.losses from amends_service")
        before = schema(cluster, upgraded)
        assert Migrations().upgrade(upgraded) == ((), False)
        assert schema(cluster, upgraded) == before != fresh
        sql.execute("update amends.schema_state set applied = 'what another version applied'")
        assert Migrations().upgrade(upgraded) == ((), False)
        assert schema(cluster, upgraded) == fresh


def test_a_project_has_a_branch_and_rights_of_its_own(cluster: EmbeddedPostgres, upgraded: URL, tmp_path: Path) -> None:
    versions = tmp_path / "migrations" / "versions"
    versions.mkdir(parents=True)
    (versions / "shop_1.py").write_text(
        '"""A table of its own."""\nfrom alembic import op\n\nrevision, down_revision = "shop_1", None\n\n\n'
        'def upgrade() -> None:\n    op.execute("create schema shop; create table shop.things (id text)")\n'
    )
    (tmp_path / "migrations" / "rights.sql").write_text(
        "grant usage on schema shop to amends_service;\ngrant select on shop.things to amends_service;\n"
    )
    project = Migrations(tmp_path)
    assert project.upgrade(upgraded).applied == ("A table of its own.",)
    assert project.upgrade(upgraded) == ((), False)
    with psycopg.connect(conninfo(upgraded), autocommit=True) as sql:
        sql.execute("set role amends_service")
        assert sql.execute("select * from shop.things").fetchall() == []
        assert sql.execute("select revision from amends.schema_state order by 1").fetchall() == [
            (REVISIONS[-1],),
            ("shop_1",),
        ]
