"""The service works with the least rights: it can append, and it can neither alter nor forget."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.connections.pool import Pool
from app.amends.postgres.embedded.programs import find_binaries
from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.roles import as_service
from app.amends.postgres.statements.committer import Committer
from app.amends.postgres.statements.reader import Reader
from app.amends.postgres.urls import connection_settings, conninfo, parse_url
from app.amends.store.events.postgres_events import PostgresEvents
from app.amends.store.events.writer import EventWriter
from domain.amends.expected import NONE
from tests.amends.harness.databases import POSTGRES_15, make_cluster, prepare
from tests.amends.store.events.test_immutable import INSERT
from tests.amends.store.harness.sagas import event
from workflows.amends.ports.event_store import AppendResult

Sql = psycopg.Connection

REFUSED = [
    "update amends.events set data = '{}'",
    "delete from amends.events",
    "truncate amends.events",
    "drop table amends.events",
    "drop table dbos.workflow_status",
    "drop trigger events_immutable on amends.events",
    "drop function amends.append(jsonb)",
    "drop schema amends cascade",
    "create or replace function amends.refuse_change() returns trigger language plpgsql as 'begin return new; end'",
    "alter table amends.events disable trigger events_immutable",
    "alter table amends.events disable trigger all",
    "alter table amends.events add column more int",
    "alter table amends.events owner to amends_service",
    "alter table dbos.workflow_status add column more int",
    "alter function amends.append(jsonb) rename to other",
    "create table amends.more (n int)",
    "create table dbos.more (n int)",
    "create trigger other before insert on amends.events for each row execute function amends.refuse_change()",
    "create schema more",
    "create role more",
    "set session_replication_role = replica",
    "select amends.open_generation('because I can')",
    "insert into amends.generations (generation, reason) values (2, 'because I can')",
    "update amends.requests set answer = '{}'",
    "delete from amends.sagas",
    "delete from amends.executors",
    "update amends.sagas set name = 'other'",
    "update dbos.dbos_migrations set version = 0",
    "delete from dbos.workflow_status",
    "select setval('amends.events_position_seq', 1)",
    "select nextval('amends.events_position_seq')",
    "do 'begin lock table amends.events in share mode; end'",
    "do 'begin lock table amends.sagas in access exclusive mode; end'",
    "select amends.point_view('order_board', 1)",
    "copy amends.events (position) from program 'echo 1'",
    "copy amends.events to '/tmp/events'",
    "select pg_read_file('postgresql.conf')",
    "alter system set fsync = off",
]
ALLOWED = [
    INSERT,
    "select * from amends.events",
    "insert into amends.requests (key, digest, answer) values ('k', 'd', '{}')",
    "update amends.sagas set reason = 'because'",
    "delete from amends.snapshots",
    "update dbos.workflow_status set status = 'PENDING'",
    "select amends.append('[]'::jsonb)",
]


def session(url: URL) -> Sql:
    """A session that works as the service does, every statement by itself."""
    return psycopg.connect(conninfo(url), **connection_settings(url, "test"))


@pytest.fixture
def service(database: URL) -> Iterator[Sql]:
    """A session with the rights of the service."""
    with session(as_service(database)) as connection:
        yield connection


@pytest.mark.parametrize("statement", REFUSED)
def test_the_service_may_not(database_18: URL, statement: str) -> None:
    with session(as_service(database_18)) as connection:
        connection.execute(INSERT)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)
        assert connection.execute("select version, data from amends.events").fetchall() == [(1, {})]


def test_the_service_may_do_nothing_of_this_on_either_server(service: Sql) -> None:
    for statement in REFUSED:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            service.execute(statement)


def test_the_service_may_work_with_rows(service: Sql) -> None:
    for statement in ALLOWED:
        service.execute(statement)


@asynccontextmanager
async def appending(url: URL) -> AsyncIterator[PostgresEvents]:
    """Appends with just the rights of a URL."""
    readers, committer = Pool(url, 2), Committer(url, 2)
    async with readers:
        committer.start()
        try:
            yield PostgresEvents(EventWriter(committer), Reader(readers))
        finally:
            await committer.stop()


async def require_works(url: URL) -> None:
    async with appending(url) as events:
        assert isinstance(await events.append([event("order-1")], {"order-1": NONE}), AppendResult)
        assert [each.version for each in await events.read("order-1")] == [1]


def login(cluster: EmbeddedPostgres, name: str, *options: str) -> URL:
    """A new login role without other rights than these."""
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        connection.execute(f"create role {name} login password 'secret' {' '.join(options)}")
    return parse_url(cluster.url).set(username=name, password="secret")


def owned(cluster: EmbeddedPostgres, user: URL) -> URL:
    """A new database that this user owns."""
    name = f"owned_{uuid4().hex[:12]}"
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        connection.execute(f"create database {name} owner {user.username}")
    return user.set(database=name)


@pytest.fixture(params=["18", "15"])
def alone(request: pytest.FixtureRequest) -> Iterator[EmbeddedPostgres]:
    """A cluster that does not know the role yet: it is one for all databases of a cluster."""
    programs: Path = find_binaries() if request.param == "18" else POSTGRES_15
    if not programs.exists():
        pytest.skip(f"There is no Postgres in {programs}.")
    yield from make_cluster(programs)


async def test_without_the_right_to_create_roles_it_works_and_warns(
    alone: EmbeddedPostgres, caplog: pytest.LogCaptureFixture
) -> None:
    url = owned(alone, login(alone, "plain"))
    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "amends.roles"):
            assert prepare(url) == url
        said = [each.getMessage() for each in caplog.records if each.name == "amends.roles"]
        assert len(said) == 1
        assert "rights of plain, which may alter tables" in said[0]
        assert "CREATE ROLE amends_service; GRANT amends_service TO plain;" in said[0]
    await require_works(url)


async def test_whoever_does_what_the_warning_says_has_the_role(
    alone: EmbeddedPostgres, caplog: pytest.LogCaptureFixture
) -> None:
    url = owned(alone, login(alone, "plain"))
    assert prepare(url) == url
    with psycopg.connect(alone.url, autocommit=True) as connection:
        connection.execute("create role amends_service")
        connection.execute("grant amends_service to plain")
    caplog.clear()
    with caplog.at_level(logging.WARNING, "amends.roles"):
        assert prepare(url) == as_service(url)
    assert not caplog.records
    await require_works(as_service(url))
    with session(as_service(url)) as connection:
        for statement in REFUSED:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


async def test_with_the_right_to_create_roles_it_creates_its_own(alone: EmbeddedPostgres) -> None:
    """Without being a superuser, as on most managed databases."""
    url = owned(alone, login(alone, "creator", "createrole"))
    assert prepare(url) == as_service(url)
    await require_works(as_service(url))
    assert prepare(url) == as_service(url), "and once more at the next start"


@pytest.fixture
def two_logins(postgres_18: EmbeddedPostgres, database_18: URL) -> Iterator[tuple[URL, URL]]:
    """Who serves and who owns, on a fresh database; another one has made the server know the role."""
    name = uuid4().hex[:12]
    service, owner = login(postgres_18, f"shop_{name}"), login(postgres_18, f"owner_{name}", "createrole")
    with psycopg.connect(postgres_18.url, autocommit=True) as connection:
        connection.execute(f"grant amends_service to owner_{name} with admin option")
    url = owned(postgres_18, owner)
    yield service.set(database=url.database), url
    with psycopg.connect(postgres_18.url, autocommit=True) as connection:
        connection.execute(f"drop database {url.database} with (force)")
        connection.execute(f"drop role shop_{name}")
        connection.execute(f"drop role owner_{name}")


ROLES = """
select array_agg(rolname::text) from pg_roles where pg_has_role(rolname, 'member') and rolname <> current_user"""


async def test_a_login_of_its_own_can_append_and_take_no_other_rights(
    two_logins: tuple[URL, URL],
) -> None:
    service, owner = two_logins
    url = prepare(service, owner)
    assert url == as_service(service)
    await require_works(url)
    with session(service) as connection:
        connection.execute("reset role")
        row = connection.execute(ROLES).fetchone()
        assert row is not None
        assert set(row[0]) == {"amends_service", "pg_read_all_stats"}
        for statement in [*REFUSED, f"set role {owner.username}", "set role postgres"]:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
        assert connection.execute("select stream from amends.events").fetchall() == [("order-1",)]
