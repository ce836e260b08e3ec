"""A database that was migrated step by step is as a fresh one, and an older server leaves a newer one alone."""

from __future__ import annotations

import logging
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.bootstrap import prepare_database
from app.amends.postgres.embedded.programs import find_binaries
from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.migrate import OURS, Migrations
from app.amends.postgres.roles import as_service
from app.amends.postgres.urls import conninfo, parse_url
from domain.amends.errors import StartupError
from migrations.amends.running import functions_in_force
from tests.amends.harness.databases import make_cluster, memory
from workflows.amends.dbos import runtime

REVISIONS = sorted(path.name[:4] for path in (OURS / "versions").glob("0*.py"))
NEWEST = REVISIONS[-1]
COMMIT_STEP = "commit_step(text, text, jsonb, jsonb, jsonb, text, text, boolean"
GONE = [
    ("0001", "0004", f"{COMMIT_STEP})"),
    ("0001", "0004", "act_on_saga(text, int, text[], jsonb, text)"),
    ("0001", "0004", "start_saga(text, text, int, text, text, text, text, jsonb, text, text)"),
    ("0004", "0005", "start_saga(text, text, int, text, text, text, text, jsonb, text, text, interval)"),
    ("0004", "0005", f"{COMMIT_STEP}, jsonb)"),
    ("0005", "0017", f"{COMMIT_STEP}, jsonb, jsonb)"),
    ("0006", "0007", "compare_builds(text, int, int, int)"),
    ("0006", "0015", "promote_build(text, int)"),
    ("0006", "0021", "try_row(text, int, json)"),
    (
        "0006",
        "0021",
        "write_build(text, int, text, interval, bigint[], bigint[], bigint, json, text[], text[], jsonb, boolean)",
    ),
]
"""Functions that were in force once: since which migration, and which one is to drop them."""
CODE = Migrations(dbos=runtime.newest_migration())
"""Amends without a project, as a server has it."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedPostgres]:
    """A cluster of this file's own, with the databases `walking`, which has DBOS's tables alone, and `fresh`."""
    for made in make_cluster(find_binaries(), memory()):
        with psycopg.connect(made.url, autocommit=True) as sql:
            sql.execute("create role amends_service nologin")
            sql.execute("create database walking")
            runtime.migrate(conninfo(named(made, "walking")))
            sql.execute("create database fresh template walking")
        assert prepare_database(named(made, "fresh")) == as_service(named(made, "fresh"))
        yield made


@pytest.fixture(scope="module")
def fresh(cluster: EmbeddedPostgres) -> list[str]:
    return schema(cluster, named(cluster, "fresh"))


@pytest.fixture
def upgraded(cluster: EmbeddedPostgres) -> Iterator[URL]:
    """A copy of the fresh database."""
    url = copied(cluster, "fresh")
    yield url
    drop(cluster, url)


def named(cluster: EmbeddedPostgres, database: str) -> URL:
    return parse_url(cluster.url).set(database=database)


def copied(cluster: EmbeddedPostgres, database: str) -> URL:
    name = f"copy_{uuid4().hex[:12]}"
    with psycopg.connect(cluster.url, autocommit=True) as sql:
        sql.execute(f"create database {name} template {database}")
    return named(cluster, name)


def drop(cluster: EmbeddedPostgres, url: URL) -> None:
    with psycopg.connect(cluster.url, autocommit=True) as sql:
        sql.execute(f"drop database {url.database} with (force)")


def schema(cluster: EmbeddedPostgres, url: URL) -> list[str]:
    """Everything that is declared in a database, DBOS's tables and rights included, as lines."""
    dump = [str(cluster.programs / "pg_dump"), "--schema-only", "--dbname", conninfo(url)]
    done = subprocess.run(dump, capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if not line.startswith(("--", "\\"))]


def run(url: URL, *statements: str) -> None:
    with psycopg.connect(conninfo(url), autocommit=True) as sql:
        for statement in statements:
            sql.execute(statement)


def test_from_every_revision_an_upgrade_leads_to_the_schema_of_a_fresh_database(
    cluster: EmbeddedPostgres, fresh: list[str]
) -> None:
    """And leaves none of the functions that were in force there and are not any more."""
    walking = named(cluster, "walking")
    for number, revision in enumerate(REVISIONS[:-1], start=1):
        CODE.upgrade(walking, revision)
        url = copied(cluster, "walking")
        old = [function for since, until, function in GONE if since <= revision < until]
        run(url, *(f"create function amends.{each} returns int language sql as 'select 1'" for each in old))
        assert len(CODE.upgrade(url)) == len(REVISIONS) - number
        assert schema(cluster, url) == fresh, f"from {revision}"
        drop(cluster, url)


def test_each_function_in_force_has_a_file_and_stands_nowhere_else(cluster: EmbeddedPostgres, upgraded: URL) -> None:
    files = list((OURS / "functions").glob("*.sql"))
    for file in files:
        assert re.findall(r"^create .*function amends\.(\w+)\(", file.read_text(), re.MULTILINE) == [file.stem]
    for file in (OURS / "sql").glob("*.sql"):
        assert not re.search(r"\bcreate\b[^;]*\bfunction\b[^;]*\(", file.read_text().partition("trigger")[0])
        assert "$$" not in file.read_text()
    with psycopg.connect(conninfo(upgraded)) as sql:
        made = sql.execute("select proname from pg_proc where pronamespace = 'amends'::regnamespace").fetchall()
        assert sorted(name for (name,) in made) == sorted(file.stem for file in files)
        sql.execute(functions_in_force().partition("\n")[2].encode())  # with their bodies checked: all are there now


def newer(url: URL, oldest: str) -> None:
    """Leave what a newer version does: a revision that nobody here knows, another function, other rights."""
    run(
        url,
        "update amends.alembic_version set version_num = '9999'",
        f"update amends.schema_state set revision = '9999', oldest = '{oldest}', applied = 'newer'",
        "create or replace function amends.as_of() returns bigint language sql stable as 'select 7::bigint'",
        "revoke select on amends.losses from amends_service",
    )


def test_a_server_starts_on_a_newer_schema_that_lets_it_and_changes_nothing(
    cluster: EmbeddedPostgres, upgraded: URL, caplog: pytest.LogCaptureFixture
) -> None:
    newer(upgraded, oldest=NEWEST)
    before = schema(cluster, upgraded)
    with caplog.at_level(logging.INFO, "amends"):
        assert prepare_database(upgraded) == as_service(upgraded)
    assert [each.getMessage() for each in caplog.records if each.name == "amends"] == [
        f"The schema is 9999, of a newer version, which this one ({NEWEST}) can work with."
    ]
    assert schema(cluster, upgraded) == before
    assert CODE.upgrade(upgraded) == [], "whoever has upgraded meanwhile"
    assert schema(cluster, upgraded) == before


@pytest.mark.parametrize("oldest", ["9998", "9999"])
def test_a_server_refuses_a_newer_schema_that_it_is_too_old_for(
    cluster: EmbeddedPostgres, upgraded: URL, oldest: str
) -> None:
    newer(upgraded, oldest)
    before = schema(cluster, upgraded)
    with pytest.raises(StartupError, match="migrated by a newer version"):
        prepare_database(upgraded)
    assert schema(cluster, upgraded) == before


def test_a_newer_schema_without_a_note_is_refused(upgraded: URL) -> None:
    newer(upgraded, oldest=NEWEST)
    run(upgraded, "delete from amends.schema_state")
    with pytest.raises(StartupError, match="its schema is 9999, the newest known here is"):
        prepare_database(upgraded)


def test_a_start_that_has_nothing_to_upgrade_applies_neither_functions_nor_rights(
    cluster: EmbeddedPostgres, fresh: list[str], upgraded: URL
) -> None:
    run(upgraded, "revoke select on amends.losses from amends_service")
    before = schema(cluster, upgraded)
    prepare_database(upgraded)
    assert schema(cluster, upgraded) == before != fresh
    run(upgraded, "update amends.schema_state set applied = 'what other code applied'")
    prepare_database(upgraded)
    assert schema(cluster, upgraded) == fresh


def test_a_role_without_rights_is_given_them_by_the_next_start(
    cluster: EmbeddedPostgres, fresh: list[str], upgraded: URL
) -> None:
    """As after a restore without them, or where the role was created by hand."""
    run(upgraded, "drop owned by amends_service")
    assert schema(cluster, upgraded) != fresh
    assert prepare_database(upgraded) == as_service(upgraded)
    assert schema(cluster, upgraded) == fresh


def test_a_newer_schema_whose_role_has_no_rights_is_served_with_those_of_the_login(upgraded: URL) -> None:
    newer(upgraded, oldest=NEWEST)
    run(upgraded, "drop owned by amends_service")
    assert prepare_database(upgraded) == upgraded


def test_tables_of_a_newer_dbos_may_be_read_by_the_service(upgraded: URL) -> None:
    run(upgraded, "create table dbos.more (n int)")
    known = runtime.newest_migration()
    assert Migrations(dbos=known).upgrade(upgraded) == []
    with psycopg.connect(conninfo(as_service(upgraded)), autocommit=True) as sql:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            sql.execute("select from dbos.more")
        assert Migrations(dbos=known + 1).upgrade(upgraded) == []
        sql.execute("select from dbos.more")


MADE = '''"""{doc}"""
from alembic import op

revision, down_revision{names} = "{revision}", {before!r}{values}


def upgrade() -> None:
    op.execute("{sql}")
'''


def migration(root: Path, revision: str, before: str | None, sql: str, oldest_server: str | None = None) -> None:
    """Write a migration of a project."""
    folder = root / "migrations" / "versions"
    folder.mkdir(parents=True, exist_ok=True)
    names, values = (", oldest_server", f', "{oldest_server}"') if oldest_server else ("", "")
    made = MADE.format(doc=f"Shop {revision}.", revision=revision, before=before, sql=sql, names=names, values=values)
    (folder / f"{revision}.py").write_text(made)


def rights(root: Path, *statements: str) -> None:
    (root / "migrations" / "rights.sql").write_text(";\n".join(statements) + ";\n")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A project with a table of its own."""
    migration(tmp_path, "shop_1", None, "create schema shop; create table shop.things (id text)")
    rights(tmp_path, "grant usage on schema shop to amends_service", "grant select on shop.things to amends_service")
    return tmp_path


def states(url: URL) -> list[tuple[str, str]]:
    with psycopg.connect(conninfo(url)) as sql:
        return sql.execute("select revision, oldest from amends.schema_state order by 1").fetchall()


def test_a_project_has_a_branch_and_rights_of_its_own(upgraded: URL, shop: Path) -> None:
    assert Migrations(shop).upgrade(upgraded) == ["Shop shop_1."]
    assert Migrations(shop).upgrade(upgraded) == []
    with psycopg.connect(conninfo(as_service(upgraded)), autocommit=True) as sql:
        assert sql.execute("select * from shop.things").fetchall() == []
    assert states(upgraded) == [(NEWEST, "0020"), ("shop_1", "shop_1")]


def test_an_older_project_goes_on_where_its_branch_lets_it(upgraded: URL, shop: Path) -> None:
    older, url = Migrations(shop), upgraded
    older.upgrade(url)
    newer = Path(f"{shop}-newer")
    migration(newer, "shop_1", None, "select 1")
    migration(newer, "shop_2", "shop_1", "alter table shop.things add more text", oldest_server="shop_1")
    assert Migrations(newer).upgrade(url) == ["Shop shop_2."]
    assert older.upgrade(url) == []
    migration(newer, "shop_3", "shop_2", "alter table shop.things drop id")
    assert Migrations(newer).upgrade(url) == ["Shop shop_3."]
    with pytest.raises(StartupError, match=r"its schema is .*shop_3"):
        older.upgrade(url)


def test_a_project_that_lacks_its_own_tables_on_a_newer_schema_is_refused(upgraded: URL, shop: Path) -> None:
    newer(upgraded, oldest=NEWEST)
    with pytest.raises(StartupError, match=f"its schema is 9999, the newest known here is {NEWEST}, shop_1"):
        prepare_database(upgraded, root=shop)
    assert not Migrations(shop).can_serve({"9999": NEWEST})
    assert Migrations(shop).can_serve({"9999": NEWEST, "shop_1": "shop_1"})


def test_rights_that_cannot_be_granted_take_the_whole_upgrade_back(
    cluster: EmbeddedPostgres, upgraded: URL, shop: Path
) -> None:
    before = schema(cluster, upgraded)
    rights(shop, "grant usage on schema shop to amends_service", "grant select on shop.missing to amends_service")
    for _ in range(2):
        with pytest.raises(psycopg.errors.UndefinedTable):
            Migrations(shop).upgrade(upgraded)
        assert schema(cluster, upgraded) == before


def test_what_one_migration_takes_from_older_servers_no_later_one_gives_back(upgraded: URL, shop: Path) -> None:
    migration(shop, "shop_2", "shop_1", "select 1")
    migration(shop, "shop_3", "shop_2", "select 1", oldest_server="shop_1")
    Migrations(shop).upgrade(upgraded)
    assert states(upgraded)[1:] == [("shop_3", "shop_2")]


@pytest.mark.parametrize("oldest", ["shop_9", "shop_3", NEWEST])
def test_an_oldest_server_that_does_not_come_before_is_named(upgraded: URL, shop: Path, oldest: str) -> None:
    migration(shop, "shop_2", "shop_1", "select 1", oldest_server=oldest)
    migration(shop, "shop_3", "shop_2", "select 1", oldest_server="shop_2")
    with pytest.raises(StartupError, match=f"oldest_server of migration shop_2 is '{oldest}'"):
        Migrations(shop).upgrade(upgraded)


SAGAS_OF_BEFORE = """
insert into amends.sagas (id, name, version, root, reference, status, correlation_id, request, provider)
values ('s-1', 'buy', 1, 's-1', '', 'stuck', 'c', 'r', null),
       ('s-2', 'buy', 1, 's-2', '', 'running', 'c', 'r', 'stock'),
       ('s-3', 'buy', 2, 's-3', '', 'completed', 'c', 'r', null)"""
STARTS_OF_BEFORE = """
insert into amends.events (id, stream, version, type, schema_version, data, metadata)
values (gen_random_uuid(), 'saga-s-1', 1, 'saga-started', 1, '{}', '{"actor": "ada"}'),
       (gen_random_uuid(), 'saga-s-1', 2, 'saga-stuck', 1, '{}', '{"actor": "bob"}'),
       (gen_random_uuid(), 'saga-s-3', 1, 'saga-started', 1, '{}', '{}')"""
CAUSES_OF_BEFORE = """
select s.id, s.actor, c.kind, c.provider, c.id = amends.cause_id(c.kind, 'buy', 1, null, c.provider, null)
  from amends.sagas as s left join amends.causes as c on c.id = s.cause order by s.id"""


def test_sagas_of_before_causes_have_their_actor_and_say_how_they_stand(cluster: EmbeddedPostgres) -> None:
    run(named(cluster, "postgres"), "create database of_before")
    url = named(cluster, "of_before")
    runtime.migrate(conninfo(url))
    CODE.upgrade(url, "0021")
    run(url, SAGAS_OF_BEFORE, STARTS_OF_BEFORE)
    CODE.upgrade(url)
    with psycopg.connect(conninfo(url)) as sql:
        assert sql.execute(CAUSES_OF_BEFORE).fetchall() == [
            ("s-1", "ada", "stuck", None, True),
            ("s-2", None, "provider", "stock", True),
            ("s-3", None, None, None, None),
        ]
    drop(cluster, url)
