"""A server whose code is new to the database says what it would strand: one server, once, beside serving."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from app.amends.postgres.embedded.server import EmbeddedPostgres
from tests.amends.harness.databases import fresh_database
from tests.example.app.sagas.test_transfers import transfer
from tests.example.server import Server, wait_for

CHECKED = "select count(*) from amends.checked_code where checked_at is not null"


@pytest.fixture
def servers(postgres_18: EmbeddedPostgres) -> Iterator[tuple[Server, Server]]:
    url = fresh_database(postgres_18)
    with Server(url, approval_limit=100) as first, Server(url, approval_limit=100) as second:
        yield first, second


def checked(sql: psycopg.Connection) -> bool:
    return sql.execute(CHECKED).fetchone() == (1,)


def said(*servers: Server) -> list[str]:
    """What servers have said of their code."""
    return [line for server in servers for line in server.said.splitlines() if "The code here" in line]


def test_new_code_is_checked_by_one_server_which_warns_of_what_it_strands(servers: tuple[Server, Server]) -> None:
    first, second = servers
    first.start()
    with psycopg.connect(first.environment["DATABASE_URL"], autocommit=True) as sql:
        wait_for(lambda: checked(sql), "the code is known")
        assert "new to this database, which has no unfinished sagas" in "".join(said(first))
        ids = sorted(transfer(first, 500) for _ in range(3))
        for id in ids:
            first.saga(id)
        first.stop()
        sql.execute("update amends.sagas set version = 99 where id = %s", ids[:1])
        sql.execute("delete from amends.checked_code")
        first.launch()
        second.launch()
        first.until_up()
        second.until_up()
        wait_for(lambda: checked(sql), "the code is checked", 240)
        wait_for(lambda: "does not fit" in "".join(said(first, second)), "somebody says so")
    (line,) = [line for line in said(first, second) if "does not fit" in line]
    assert "WARNING" in line
    assert "does not fit 1 of 3 unfinished sagas" in line
    assert f"1 of transfer-money:99 would wait, such as {ids[0]}: there is no code for transfer-money:99 here" in line


def test_code_that_fits_is_said_once(servers: tuple[Server, Server]) -> None:
    first, _ = servers
    first.start()
    id = transfer(first, 500)
    first.saga(id)
    with psycopg.connect(first.environment["DATABASE_URL"], autocommit=True) as sql:
        wait_for(lambda: checked(sql), "the code is known")
        sql.execute("delete from amends.checked_code")
        first.stop()
        first.start()
        wait_for(lambda: checked(sql), "the code is checked", 240)
        first.stop()
        first.start()
        assert checked(sql)
    assert [line.partition("The code here")[2].partition(")")[2] for line in said(first)[-1:]] == [
        " fits all 1 unfinished sagas."
    ]
