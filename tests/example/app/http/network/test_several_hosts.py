"""A URL with several hosts leads everything to the one that takes writes."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from urllib.parse import quote

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo, parse_url
from tests.amends.harness.program import amends
from tests.example.server import Server


@pytest.fixture
def several(database_18: URL, postgres_15: EmbeddedPostgres) -> Iterator[str]:
    """Where nobody listens, where nobody may write, and where the database is: all three in one URL."""
    password = database_18.password or ""
    read_only = parse_url(postgres_15.url).set(password=password, username="postgres")
    with psycopg.connect(postgres_15.url, autocommit=True) as sql, socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        sql.execute("create role several superuser login")
        sql.execute(psycopg.sql.SQL("alter role several password {}").format(password))
        sql.execute(f"create database {database_18.database}")
        sql.execute(f"alter database {database_18.database} set default_transaction_read_only = on")
        with psycopg.connect(conninfo(database_18), autocommit=True) as there:
            there.execute("create role several superuser login")
            there.execute(psycopg.sql.SQL("alter role several password {}").format(password))
            hosts = f"[::1]:{closed.getsockname()[1]},127.0.0.1:{read_only.port},localhost:{database_18.port}"
            try:
                yield f"postgresql://several:{quote(password, safe='')}@{hosts}/{database_18.database}"
            finally:
                there.execute("drop role several")
                sql.execute(f"drop database {database_18.database} with (force)")
                sql.execute("drop role several")


def run(url: str, *command: str) -> subprocess.CompletedProcess[str]:
    return amends(*command, on=url, database_wait_seconds=0.5)


def test_everything_reaches_the_one_that_takes_writes(several: str, database_18: URL) -> None:
    server = Server(None)
    server.environment["DATABASE_URL"] = several
    with server:
        server.start()
        assert server.place_order("a").status_code == 202
        assert server.saga("a")["status"] == "completed"
        assert server.stop() == 0
        assert str(database_18.password) not in server.said
    listed = run(several, "dbos", "workflow", "list")
    assert listed.returncode == 0, listed.stderr
    assert '"SUCCESS"' in listed.stdout
    printed = run(several, "db-url").stdout.strip()
    with psycopg.connect(printed) as connection:
        assert connection.info.port == database_18.port
        assert connection.execute("select count(*) from amends.sagas").fetchone() == (1,)


def test_each_host_is_named_with_what_it_said(several: str) -> None:
    url = parse_url(several)
    hosts, ports = (str(url.query[name]).split(",") for name in ("host", "port"))
    first_two = url.update_query_dict({"host": ",".join(hosts[:2]), "port": ",".join(ports[:2])})
    said = run(conninfo(first_two), "up", "--port", "0")
    assert said.returncode == 1
    assert "Traceback" not in said.stderr
    for part in (f"'::1', port: '{ports[0]}'", f"'127.0.0.1', port: '{ports[1]}'", "session is read-only"):
        assert part in said.stderr
    assert f"Check DATABASE_URL (postgresql://several@[::1]:{ports[0]},127.0.0.1:{ports[1]}/" in said.stderr
    assert str(url.password) not in said.stderr
