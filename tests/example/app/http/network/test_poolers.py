"""A pooler that keeps sessions may stand before the database; one that does not is refused, by what it does."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.doctor.database import run_checks
from app.amends.postgres.checks.server_usability import require_role_and_limits, require_usable_server
from app.amends.postgres.urls import conninfo
from domain.amends.errors import StartupError
from tests.amends.harness.databases import MIGRATIONS, prepare
from tests.amends.store.harness.pooler import pooled
from tests.example.server import ROOT, Server

DOCUMENTED = re.findall(
    r"^ +(alter role shop set .*;)$", (ROOT / "docs" / "how-to" / "own-postgres.md").read_text(), re.MULTILINE
)
"""What the docs say of a login behind a pooler."""


def refusal(url: URL) -> str:
    with pytest.raises(StartupError) as raised:
        require_usable_server(url)
    return str(raised.value)


@pytest.mark.parametrize(
    ("mode", "more"),
    [
        ("transaction", {}),
        ("transaction", {"default_pool_size": 1}),
        ("transaction", {"server_round_robin": 1, "min_pool_size": 5, "default_pool_size": 5}),
        ("statement", {}),
    ],
)
def test_a_pooler_that_does_not_keep_sessions_is_refused(database_18: URL, mode: str, more: dict[str, object]) -> None:
    with pooled(database_18, mode, more=more) as url:
        said = refusal(url)
        found = asyncio.run(run_checks(url, {}, MIGRATIONS))
    assert "does not keep sessions" in said
    assert any("does not keep sessions" in each.found for each in found)
    assert "pool_mode = session" in said


def test_a_pooler_that_refuses_options_says_what_to_set(database_18: URL) -> None:
    with pooled(database_18, "session", ignored="extra_float_digits") as url:
        said = refusal(url)
    assert "A pooler refuses what sessions are opened with" in said
    assert "ignore_startup_parameters = options" in said


def test_a_pooler_with_too_few_connections_is_no_endless_wait(
    database_18: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.amends.postgres.checks.server_usability.ANSWER_SECONDS", 2.0)
    with pooled(database_18, "session", more={"default_pool_size": 1}) as url:
        said = refusal(url)
    assert "Of 3 sessions at the same time only 1 were answered" in said
    assert "default_pool_size" in said


@pytest.fixture
def login(database_18: URL) -> Iterator[URL]:
    """A login without rights of its own, with nothing set."""
    name = f"shop_{uuid4().hex[:8]}"
    with psycopg.connect(conninfo(database_18), autocommit=True) as sql:
        sql.execute(f"create role {name} login password 'geheim-1'")
        yield database_18.set(username=name, password="geheim-1")
        sql.execute(f"drop owned by {name}")
        sql.execute(f"drop role {name}")


def test_a_session_without_its_role_and_limits_is_refused_with_what_to_set(login: URL, database_18: URL) -> None:
    with pooled(login, "session") as url:
        with pytest.raises(StartupError) as raised:
            prepare(url, database_18)
        said = str(raised.value)
        assert "role is none instead of amends_service" in said
        assert "lock_timeout is 0 instead of 5s" in said
        assert any(
            "role is none" in each.found and not each.well for each in asyncio.run(run_checks(url, {}, MIGRATIONS))
        )
        sets = said.split("connect anew: ")[1].rstrip(".\n")
        with psycopg.connect(conninfo(database_18), autocommit=True) as sql:
            sql.execute(sets)
    with pooled(login, "session") as url:
        require_role_and_limits(prepare(url, database_18))


def test_a_server_works_through_a_pooler_that_keeps_sessions(login: URL, database_18: URL) -> None:
    with psycopg.connect(conninfo(database_18), autocommit=True) as sql:
        sql.execute(f"grant amends_service to {login.username}")
        for line in DOCUMENTED:
            sql.execute(line.replace("shop", str(login.username)))
    with pooled(login, "session") as url, Server(url, migration_url=conninfo(database_18)) as server:
        server.start()
        assert server.place_order("a").status_code == 202
        assert server.saga("a")["status"] == "completed"
        assert server.stop() == 0


def test_a_server_that_would_lose_its_sessions_does_not_start(database_18: URL) -> None:
    with pooled(database_18, "transaction") as url, Server(url) as server:
        assert server.launch().wait() == 1
        assert "pool_mode = session" in server.said
        assert "Traceback" not in server.said
        assert "Amends is up" not in server.said
