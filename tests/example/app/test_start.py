"""Starting and stopping: what is wrong is said in words, and nothing is left half done."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import URL, make_url

from app.amends.postgres.checks.server_usability import connection_refused_error as refused_by
from app.amends.postgres.embedded.programs import find_binaries
from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo
from domain.amends.errors import NotYet
from tests.amends.harness.program import amends
from tests.example.server import ROOT, Server, wait_for


def refused(server: Server, host: str = "127.0.0.1") -> str:
    """What a server says that does not start; it ends by itself, with an error, and without a traceback."""
    with server:
        assert server.launch(host).wait() == 1
        assert "Traceback" not in server.said
        assert "Amends is up" not in server.said
        return server.said


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="amends-data-"))
    yield made
    embedded = EmbeddedPostgres(made / "postgres", find_binaries())
    if (made / "postgres").exists():
        embedded.stop()
    shutil.rmtree(made, ignore_errors=True)


def test_an_unknown_setting_is_refused_with_the_one_that_was_meant() -> None:
    assert "There is no setting AMENDS_LEASE_SECOND.\n  Did you mean AMENDS_LEASE_SECONDS?" in refused(
        Server(None, lease_second=3)
    )


@pytest.mark.parametrize(
    ("name", "value"), [("lease_seconds", "soon"), ("lease_seconds", 0), ("connections", 0), ("log_level", "LOUD")]
)
def test_a_wrong_setting_is_named(name: str, value: object) -> None:
    assert f"AMENDS_{name.upper()} is wrong" in refused(Server(None, 0, **{name: value}))


@pytest.mark.parametrize("url", ["nonsense", "mysql://u:geheim@127.0.0.1/x", "sqlite:///x.db"])
def test_a_url_that_is_no_postgres_is_refused(url: str) -> None:
    server = Server(None)
    server.environment["DATABASE_URL"] = url
    said = refused(server)
    assert "DATABASE_URL is not the URL of a Postgres database." in said
    assert "geheim" not in said


@pytest.mark.parametrize("name", ["DATABASE_URL", "AMENDS_MIGRATION_URL"])
def test_a_port_that_is_no_number_is_said(name: str) -> None:
    server = Server(make_url("postgresql://127.0.0.1/x"))
    server.environment[name] = "postgresql://u:geheim@127.0.0.1:abc/x"
    said = refused(server)
    assert f"{name} is wrong: its port is not a number." in said
    assert "geheim" not in said


def test_a_password_in_a_urls_query_is_shown_nowhere(database_18: URL) -> None:
    assert database_18.password
    url = database_18.set(password=None).update_query_dict({"password": str(database_18.password)})
    with Server(url, log_level="DEBUG") as server:
        server.start()
        assert server.place_order("a").status_code == 202
        assert server.stop() == 0
        assert "Initializing DBOS system database with URL" in server.said
        assert database_18.password not in server.said
    said = refused(Server(url.set(database="nowhere")))
    assert 'database "nowhere" does not exist' in said
    assert database_18.password not in said


def test_a_signal_while_it_starts_stops_the_database_again(folder: Path) -> None:
    embedded = EmbeddedPostgres(folder / "postgres", find_binaries())
    with Server(None, data_dir=folder) as server:
        server.launch()
        wait_for(lambda: embedded.process() is not None and embedded.answers(), "Postgres is up")
        os.kill(server.pid, signal.SIGTERM)
        assert server.wait() == 128 + signal.SIGTERM
        assert "Traceback" not in server.said
        assert "Amends is up" not in server.said
        wait_for(lambda: embedded.process() is None, "no Postgres is left running")


def test_a_database_that_does_not_answer_is_named_without_its_password() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = make_url(f"postgresql://u:geheim@127.0.0.1:{closed.getsockname()[1]}/x")
        said = refused(Server(url, database_wait_seconds=0.5))
    assert "There is no connection to the database" in said
    assert "Connection refused" in said
    assert "It was waited for for 0.5 s." in said
    assert "geheim" not in said


def test_a_role_without_the_right_to_migrate_is_told_which_in_a_sentence(postgres_18: EmbeddedPostgres) -> None:
    role, server = f"nobody_{uuid4().hex[:8]}", make_url(postgres_18.url)
    with psycopg.connect(postgres_18.url, autocommit=True) as sql:
        sql.execute(f"create role {role} login password 'x'")
        sql.execute(f"create database {role}")
        try:
            said = refused(Server(server.set(username=role, password="x", database=role)))
        finally:
            sql.execute(f"drop database {role} with (force)")
            sql.execute(f"drop role {role}")
    assert f"permission denied for database {role}" in said
    assert "AMENDS_MIGRATION_URL" in said


@pytest.mark.parametrize(
    ("said", "passes"),
    [
        ("connection refused", True),
        ("FATAL:  the database system is starting up", True),
        ("FATAL:  the database system is not yet accepting connections", True),
        ("FATAL:  sorry, too many clients already", True),
        ('FATAL:  too many connections for role "amends"', True),
        ("failed to resolve host 'db': [Errno -3] Temporary failure in name resolution", True),
        ('FATAL:  password authentication failed for user "amends"', False),
        ('FATAL:  database "amends" does not exist', False),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1"', False),
        ("server does not support SSL, but SSL was required", False),
    ],
)
def test_what_passes_by_itself_is_waited_for(said: str, passes: bool) -> None:
    found = refused_by(psycopg.OperationalError(f"connection failed: {said}"), make_url("postgresql://u@h/x"))
    assert isinstance(found, NotYet) is passes


def test_a_wrong_password_and_a_missing_database_are_said(postgres_18: EmbeddedPostgres) -> None:
    url = make_url(postgres_18.url)
    assert "password authentication failed" in refused(Server(url.set(password="geheim")))
    said = refused(Server(url.set(database="nowhere")))
    assert 'database "nowhere" does not exist' in said
    assert "Create that database, or check DATABASE_URL" in said
    tried = amends("schema", "try-migrations", on=url.set(password="geheim")).stderr
    assert tried.startswith("There is no connection to the database: ")
    assert "password authentication failed" in tried


def test_a_taken_port_is_named_before_anything_is_begun(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(Server(None, port=port, data_dir=folder))
    assert f"Port {port} of 127.0.0.1 cannot be used" in said
    assert "--port" in said
    assert not (folder / "postgres").exists()


def test_serving_other_machines_without_tokens_is_refused(folder: Path) -> None:
    said = refused(Server(None, data_dir=folder), host="0.0.0.0")
    assert "AMENDS_API_TOKENS" in said


def test_a_database_of_a_newer_version_is_refused_and_left_alone(database_18: URL) -> None:
    with psycopg.connect(conninfo(database_18), autocommit=True) as connection:
        connection.execute("update amends.alembic_version set version_num = '9999' where version_num like '0%'")
        said = refused(Server(database_18))
        assert "migrated by a newer version of Amends (its schema is 9999" in said
        found = connection.execute("select version_num from amends.alembic_version order by 1").fetchall()
        assert found == [("9999",), ("sandbox_1",)]


def test_a_dbos_of_a_newer_version_is_refused(database_18: URL) -> None:
    with psycopg.connect(conninfo(database_18), autocommit=True) as connection:
        connection.execute("update dbos.dbos_migrations set version = 9999")
    assert "migrated by a newer DBOS (9999" in refused(Server(database_18))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("alter table dbos.operation_outputs rename column output to result", "operation_outputs.output is missing"),
        ("alter table dbos.workflow_status alter column owner_xid type uuid using null", "owner_xid is uuid, not text"),
        ("alter table dbos.workflow_input add column tenant text not null", "workflow_input.tenant must be given"),
    ],
)
def test_a_dbos_of_another_layout_is_refused(database_18: URL, change: str, says: str) -> None:
    with psycopg.connect(conninfo(database_18), autocommit=True) as connection:
        connection.execute(change)
    assert says in refused(Server(database_18))


def welcomes(server: Server, folder: Path) -> None:
    """It has said in a few lines what a person needs, on a database that it has just migrated."""
    before, _, after = server.said.partition(f"Amends is up: {server.base}\n")
    assert len(before.splitlines()) == before.count("migrations were applied") == 1
    assert f"API    {server.base}/workflows, documented at {server.base}/docs\n" in after
    assert f"Data   an embedded Postgres in {folder}/postgres\n" in after
    assert "test-mode provider; no money moves (AMENDS_PROVIDER_URL names another)\n" in after
    assert f"Stop   Ctrl-C, or kill {server.pid}\n" in after


def test_it_starts_twice_in_a_row_and_after_a_kill_of_everything(folder: Path) -> None:
    embedded = EmbeddedPostgres(folder / "postgres", find_binaries())
    with Server(None, data_dir=folder) as server:
        server.start()
        server.place_order("first")
        assert server.saga("first")["status"] == "completed"
        assert server.stop() == 0
        welcomes(server, folder)
        wait_for(lambda: embedded.process() is None, "the embedded Postgres has stopped with its last user")
        server.start()
        server.kill()
        postgres = embedded.process()
        assert postgres is not None
        postgres.kill()
        server.start()
        assert server.saga("first")["status"] == "completed"
        assert list(folder.rglob("postmaster.pid")), "the server's pid file is below the data folder"


def test_two_servers_share_one_embedded_database(folder: Path) -> None:
    with Server(None, data_dir=folder) as one, Server(None, data_dir=folder) as two:
        one.launch()
        two.start()
        one.until_up()
        one.place_order("a")
        two.place_order("b")
        assert two.saga("a")["status"] == one.saga("b")["status"] == "completed"
        assert one.stop() == 0
        two.place_order("c")
        assert two.saga("c")["status"] == "completed"


def test_a_dead_embedded_postgres_is_started_again(folder: Path) -> None:
    embedded = EmbeddedPostgres(folder / "postgres", find_binaries())
    with Server(None, data_dir=folder) as server:
        server.start()
        server.place_order("before", sku="SLOW-boat")
        postgres = embedded.process()
        assert postgres is not None
        postgres.kill()
        assert server.saga_when_back("before")["status"] == "completed"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_running_steps_finish_and_hands_over_the_rest(database_18: URL, number: signal.Signals) -> None:
    id = f"slow-{uuid4().hex[:6]}"
    with Server(database_18, log_format="json") as server, Server(database_18) as other:
        server.start()
        server.place_order(id, sku="SLOW-boat")
        wait_for(lambda: len(server.saga(id, wait=0)["steps"]) == 1, "the order is open")
        os.kill(server.pid, number)
        assert server.wait() == 0
        lines = [json.loads(line) for line in server.said.splitlines() if line.startswith("{")]
        assert "1 sagas were handed over" in " ".join(line["message"] for line in lines if line["level"] == "INFO")
        other.start()
        assert other.saga(id)["status"] == "completed"
        with psycopg.connect(conninfo(database_18)) as connection:
            held = connection.execute("select outcome from sandbox.calls where operation = 'hold'").fetchall()
            assert held == [("done",)], "the running step was finished, not made again"
            takeovers = connection.execute("select takeovers from amends.sagas").fetchone()
            assert takeovers == (0,), "a hand-over is no death"


def test_a_start_that_fails_after_the_database_stops_it_again(folder: Path) -> None:
    server = Server(None, data_dir=folder)
    with server:
        server.start()
        server.stop()
    embedded = EmbeddedPostgres(folder / "postgres", find_binaries())
    with psycopg.connect(embedded.start(), autocommit=True) as connection:
        connection.execute("update amends.alembic_version set version_num = '9999' where version_num like '0%'")
    embedded.stop()
    refused(Server(None, data_dir=folder))
    wait_for(lambda: embedded.process() is None, "no Postgres is left running")


def test_help_is_printed_without_arguments() -> None:
    said = subprocess.run([str(ROOT / "run")], capture_output=True, text=True, check=True).stdout
    for command in ("up", "demo", "amends", "dbos", "db-url", "check", "test", "soak", "bench", "newest"):
        assert f"./run {command}" in said


def test_the_command_line_prints_the_databases_url(database_18: URL) -> None:
    said = amends("db-url", on=database_18)
    assert said.stdout.strip() == conninfo(database_18)
