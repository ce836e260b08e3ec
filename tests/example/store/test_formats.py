"""Values travel in one form, whatever the database, its roles, the URL and the environment ask for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import psycopg
import pytest
from psycopg import sql as words
from sqlalchemy import URL

from app.amends.postgres.checks.server_usability import require_usable_server
from app.amends.postgres.connections.pool import Pool
from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.statements.reader import Reader
from app.amends.postgres.urls import conninfo, parse_url
from domain.amends.errors import StartupError
from domain.amends.projection import Projection, Recorded
from tests.amends.harness.databases import drop_database, prepare
from tests.amends.store.harness.projections import NAME, Lit, board_on, lamps
from tests.amends.store.harness.trouble import limited
from tests.example.server import Server

FORMATS = {
    "datestyle": ["German", "SQL, DMY", "Postgres, MDY"],
    "timezone": ["Asia/Tokyo"],
    "client_encoding": ["LATIN1", "SQL_ASCII"],
    "extra_float_digits": ["-15", "0"],
    "intervalstyle": ["sql_standard"],
    "quote_all_identifiers": ["on"],
    "bytea_output": ["escape"],
    "search_path": ["nowhere"],
}
CASES = [(name, value) for name, values in FORMATS.items() for value in values]
TEXT = "Zoë, 世界, €, 🎉"


def alter(url: URL, **settings: str) -> None:
    """Let the sessions of a database begin with other settings."""
    with psycopg.connect(conninfo(url), autocommit=True) as connection:
        for name, value in settings.items():
            change = words.SQL("alter database {} set {} to {}")
            connection.execute(change.format(*map(words.Identifier, (str(url.database), name)), words.Literal(value)))


@dataclass(frozen=True)
class Sum:
    lamp: str
    total: float = 0.0
    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    note: str = ""


def add(row: Sum | None, told: Recorded[Lit]) -> Sum | None:
    now = row or Sum(told.key)
    at = datetime(2026, 2, 3, 4, 5, 6, 789012, UTC)
    return replace(now, total=now.total + told.event.watts / 10, at=at, note=told.event.note)  # type: ignore[arg-type]


sums = Projection(NAME, version=1, of=lamps, evolve=add, key="lamp")


@pytest.mark.parametrize(("name", "value"), CASES)
async def test_values_come_back_whatever_a_database_sets(database_18: URL, name: str, value: str) -> None:
    alter(database_18, **{name: value})
    prepare(database_18)
    async with board_on(database_18, sums) as it:
        await it.append("a", Lit(1, "first"), Lit(2, TEXT))
        await it.follow()
        (stored, _) = await it.events.read("lamp-a")
        assert stored.recorded_at.utcoffset() == UTC.utcoffset(None)
        row = {"lamp": "a", "total": 0.1 + 0.2, "at": "2026-02-03T04:05:06.789012Z", "note": TEXT}
        assert await it.rows() == {"a": row}


@pytest.mark.parametrize(("name", "value"), CASES[:6])
async def test_a_url_sets_limits_and_no_formats(database_18: URL, name: str, value: str) -> None:
    url = limited(database_18, lock_timeout="7s", **{name: value.replace(" ", "\\ ")})
    async with Pool(url, 1) as connections:
        asked = "select current_setting('lock_timeout'), current_setting('timezone'), now(), '世'"
        ((lock_timeout, timezone, now, text),) = await Reader(connections).tuples(asked, ())
    assert (lock_timeout, timezone, text) == ("7s", "UTC", "世")
    assert now.utcoffset() == UTC.utcoffset(None)


def test_an_encoding_of_the_environment_changes_nothing(database_18: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    require_usable_server(database_18)


@pytest.mark.parametrize(("name", "value"), [("PGTZ", "Asia/Tokyo"), ("PGDATESTYLE", "German")])
def test_an_environment_that_is_stronger_than_a_session_is_named(
    database_18: URL, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(StartupError, match=rf"{value}.*instead of (UTC|ISO)(.|\n)*Unset PGTZ and PGDATESTYLE"):
        prepare(database_18)


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII", "EUC_JP"])
def test_a_database_that_does_not_hold_every_text_is_refused(postgres_18: EmbeddedPostgres, encoding: str) -> None:
    server = parse_url(postgres_18.url)
    url = server.set(database=f"in_{encoding.lower()}")
    create = words.SQL("create database {} template template0 encoding {} locale_provider libc locale 'C'")
    with psycopg.connect(postgres_18.url, autocommit=True) as connection:
        connection.execute(create.format(words.Identifier(str(url.database)), words.Literal(encoding)))
    try:
        with pytest.raises(StartupError, match=f"encoding is {encoding}.*\n.*encoding 'UTF8'"):
            prepare(url)
    finally:
        drop_database(postgres_18, url)


def test_a_server_works_on_a_database_with_formats_of_its_own(postgres_18: EmbeddedPostgres) -> None:
    """It is made from nothing there, and DBOS works in it too."""
    url = parse_url(postgres_18.url).set(database="with_formats")
    with psycopg.connect(postgres_18.url, autocommit=True) as connection:
        connection.execute("create database with_formats template template0 encoding 'UTF8'")
    alter(url, **{name: values[0] for name, values in FORMATS.items()})
    try:
        with Server(url) as server:
            server.start()
            trip = {"trip_id": "t-1", "traveller": TEXT, "flight": "f", "hotel": "h", "car": "c"}
            started = server.post("/workflows/book-trip", trip).json()
            assert server.saga(started["id"])["status"] == "completed"
    finally:
        drop_database(postgres_18, url)
