"""The doctor looks at whatever can be looked at, and says of the rest what is missing; never a traceback."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.doctor import machine
from app.amends.doctor.database import run_checks
from app.amends.doctor.database_checks import CHECKS
from app.amends.doctor.findings import Finding
from app.amends.doctor.machine import machine_findings
from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo, parse_url
from app.amends.schema.catalogue import load_catalogue
from tests.amends.harness.databases import MIGRATIONS
from tests.amends.harness.program import amends

ALL = [check.what for check in CHECKS]


async def looked_at(url: URL) -> dict[str, Finding]:
    """The findings by what they are about; none is missing."""
    found = await run_checks(url, load_catalogue().projections, MIGRATIONS)
    named = {each.what: each for each in found}
    assert set(ALL[:-1]) <= set(named)
    assert not any("Traceback" in each.found for each in found)
    return named


@pytest.fixture
def login(database_18: URL) -> Iterator[URL]:
    """A login without any right."""
    name = f"nobody_{uuid4().hex[:8]}"
    with psycopg.connect(conninfo(database_18), autocommit=True) as sql:
        sql.execute(f"create role {name} login password 'geheim-1'")
        yield database_18.set(username=name, password="geheim-1")
        sql.execute(f"drop owned by {name}")
        sql.execute(f"drop role {name}")


def test_a_login_without_rights_is_told_which_and_to_whom_to_grant(login: URL) -> None:
    done = amends("doctor", "--json", on=login)
    assert done.returncode == 1
    assert done.stderr == ""
    found = {each["what"]: each for each in json.loads(done.stdout)}
    assert found["database"]["well"]
    assert found["feed"]["well"]
    for what, table in (("schema", "alembic_version"), ("executors", "executors"), ("sagas", "sagas")):
        assert found[what]["found"] == f"not looked at: {login.username} may not read amends.{table}"
        assert found[what]["fix"].startswith(f"grant amends_service to {login.username};")
    assert "amends.builds, amends.set_aside" in found["read models"]["found"]


async def test_whoever_does_what_it_says_is_shown_all(login: URL, database_18: URL) -> None:
    with psycopg.connect(conninfo(database_18), autocommit=True) as sql:
        sql.execute(f"grant amends_service to {login.username}")
    found = await looked_at(login)
    assert all("not looked at" not in each.found for each in found.values())
    assert found["schema"].well


async def test_a_right_that_is_missing_keeps_nothing_else_from_being_looked_at(login: URL, database_18: URL) -> None:
    with psycopg.connect(conninfo(database_18), autocommit=True) as sql:
        sql.execute(f"grant amends_service to {login.username}")
        sql.execute("revoke select on amends.outages from amends_service")
    found = await looked_at(login)
    assert "may not read amends.outages" in found["providers"].found
    assert [name for name in ALL if name in found and "not looked at" in found[name].found] == ["providers"]


async def test_a_database_that_was_never_migrated_is_left_alone_and_told(postgres_18: EmbeddedPostgres) -> None:
    name = f"empty_{uuid4().hex[:8]}"
    with psycopg.connect(postgres_18.url, autocommit=True) as sql:
        sql.execute(f"create database {name}")
        found = await looked_at(url := parse_url(postgres_18.url).set(database=name))
        with psycopg.connect(conninfo(url)) as there:
            assert there.execute("select from pg_namespace where nspname = 'amends'").fetchone() is None
        sql.execute(f"drop database {name} with (force)")
    assert found["schema"].found == "not looked at: there is no amends.alembic_version"
    assert found["schema"].fix.startswith("./run up migrates")
    assert {each.status for each in found.values()} == {"ok", "warn"}
    assert found["database"].well
    assert found["feed"].well


@pytest.mark.parametrize(
    ("revision", "says"), [("9999", "of a newer version of Amends"), ("0001", "./run up migrates the database")]
)
async def test_a_schema_of_another_version_is_told(database_18: URL, revision: str, says: str) -> None:
    with psycopg.connect(conninfo(database_18), autocommit=True) as sql:
        sql.execute("update amends.alembic_version set version_num = %s where version_num like '0%%'", (revision,))
    found = await looked_at(database_18)
    assert not found["schema"].well
    assert says in str(found["schema"])
    assert "not looked at" not in found["sagas"].found


OURS = max(each for each in MIGRATIONS.newest_revisions() if each.isdigit())


async def test_a_newer_schema_that_this_version_can_work_with_is_well(database_18: URL) -> None:
    with psycopg.connect(conninfo(database_18), autocommit=True) as sql:
        newer = "update amends.schema_state set revision = '9999', oldest = %(ours)s where revision = %(ours)s"
        sql.execute(newer, {"ours": OURS})
        sql.execute("update amends.alembic_version set version_num = '9999' where version_num like '0%'")
    found = await looked_at(database_18)
    assert found["schema"].well
    assert f"of a newer version, which this code ({OURS}, sandbox_1) can work with" in found["schema"].found


async def test_a_column_that_is_missing_is_named(database_18: URL) -> None:
    with psycopg.connect(conninfo(database_18), autocommit=True) as sql:
        sql.execute("alter table amends.executors rename column lease_until to lease")
    found = await looked_at(database_18)
    assert 'column "lease_until" does not exist' in found["executors"].found
    assert found["executors"].fix.startswith("./run up migrates")
    assert "not looked at" not in found["sagas"].found


async def test_a_database_that_is_away_is_one_sentence() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        found = await run_checks(
            parse_url(f"postgresql://u:geheim@127.0.0.1:{closed.getsockname()[1]}/x"), {}, MIGRATIONS
        )
    (only,) = found
    assert only.found.startswith("There is no connection to the database: connection to server at ")
    assert "geheim" not in only.found
    assert only.status == "fail"
    assert only.fix.startswith("Check DATABASE_URL (postgresql://u:***@127.0.0.1:")


@pytest.mark.parametrize("command", [("up", "--port", "0"), ("workflows", "list"), ("restored", "--reason", "x")])
def test_other_commands_say_who_may_do_what_they_need(login: URL, command: tuple[str, ...]) -> None:
    done = amends(*command, on=login)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "The database does not let its user do that: permission denied for schema amends" in done.stderr
    assert "Set AMENDS_MIGRATION_URL" in done.stderr


def test_the_machine_is_looked_at_also_without_a_database() -> None:
    with socket.socket() as closed, socket.create_server(("127.0.0.1", 0)) as taken:
        closed.bind(("127.0.0.1", 0))
        away, port = f"postgresql://127.0.0.1:{closed.getsockname()[1]}/x", taken.getsockname()[1]
        done = amends("doctor", "--json", "--port", str(port), on=away)
    assert done.returncode == 1
    found = {each["what"]: each for each in json.loads(done.stdout)}
    assert [*found] == ["python", "packages", "port", "project", "settings", "database"]
    assert {name for name, each in found.items() if each["status"] == "ok"} == {*found} - {"port", "database"}
    assert found["port"]["status"] == "warn"
    assert found["port"]["fix"] == f"./run up --port {port + 1} takes another one"


def test_a_project_that_cannot_be_imported_or_a_wrong_setting_is_a_finding() -> None:
    done = amends("doctor", "--port", "1", lease_seconds="soon", on="postgresql://127.0.0.1:1/x")
    assert done.returncode == 1
    assert "fail  project: AMENDS_LEASE_SECONDS is wrong" in done.stdout
    assert done.stderr == ""


def test_packages_beyond_their_bounds_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = ["pytest ~= 1.0", "no-such-package ~= 2.0", "psutil; sys_platform == 'none'"]
    monkeypatch.setattr(machine, "_requirements", lambda: needs)
    found = next(each for each in machine_findings("127.0.0.1", 0) if each.what == "packages")
    assert found.status == "fail"
    assert found.found == f"{pytest.__version__} pytest, ~=1.0 is needed; no no-such-package, ~=2.0 is needed"
