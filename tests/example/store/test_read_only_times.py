"""After a time in which the database took no writes, no session that began in it is used again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import suppress

import psycopg
import pytest
import sqlalchemy
from dbos import DBOS
from dbos._dbos import _get_dbos_instance
from sqlalchemy import URL

from app.amends.postgres.connections.pool import Pool
from app.amends.postgres.roles import as_service
from app.amends.postgres.urls import conninfo
from app.sandbox.ledger import Ledger
from domain.amends.errors import Unavailable
from domain.amends.event import Cause
from tests.amends.contracts.test_dbos_contract import Echo, ended, engine
from tests.amends.store.harness.trouble import read_only, trouble

__all__ = ["trouble"]

Sql = psycopg.Connection


@pytest.fixture(autouse=True)
def no_dbos_is_left() -> Iterator[None]:
    yield
    DBOS.destroy(destroy_registry=True)


def look(sessions: sqlalchemy.Engine) -> None:
    with sessions.connect() as connection:
        connection.execute(sqlalchemy.text("select 1"))


async def test_sagas_end_on_other_sessions_of_dbos(database_18: URL, caplog: pytest.LogCaptureFixture) -> None:
    with psycopg.connect(conninfo(database_18), autocommit=True) as sql, caplog.at_level(logging.WARNING):
        async with engine(database_18, Echo()) as running:
            sessions = _get_dbos_instance()._sys_db.engine
            with read_only(sql):
                sql.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()"
                    " and datname = current_database()"
                )
                for _ in range(4):  # each of its two sessions, be it one that was ended or a new one
                    with suppress(sqlalchemy.exc.DBAPIError):
                        await asyncio.to_thread(look, sessions)
            for number in range(3):
                await running.start(running.saga_client.newest_definition("echo"), "text", f"s-{number}", Cause())
            assert [await ended(sql, f"s-{number}") for number in range(3)] == ["SUCCESS"] * 3
    assert "is recorded as running here, but is not" not in caplog.text


async def test_the_sandbox_writes_again(database: URL, trouble: Sql) -> None:
    async with Pool(as_service(database), 1) as single:
        ledger = Ledger(single)
        with read_only(trouble):
            await single.check()
            with pytest.raises(Unavailable):
                await ledger.switch("courier", False)
            await single.check()
            await ledger.next_due()
        with pytest.raises(Unavailable):
            await ledger.switch("courier", False)
        await ledger.switch("courier", False)
