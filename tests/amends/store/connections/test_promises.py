"""What a server does not promise is said at the start; who holds the feed back is named with how to end it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import URL

from app.amends.doctor.database import run_checks
from app.amends.doctor.findings import Finding
from app.amends.postgres.checks import durability
from app.amends.postgres.checks.durability import clock_jump, watch_clock
from app.amends.postgres.checks.server_usability import require_role_and_limits, require_usable_server
from app.amends.postgres.connections.pool import Pool
from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.roles import as_service
from app.amends.postgres.statements.reader import Reader
from app.amends.postgres.urls import conninfo, parse_url
from app.amends.store.feed import lag as held_back
from app.amends.store.feed.lag import BlockingTransaction, blocking_transaction, warn_of_feed_lag
from domain.amends.errors import StartupError
from tests.amends.harness.databases import MIGRATIONS, make_cluster, memory, migrated
from tests.amends.harness.server import wait_for

CLOCK = """
create schema fake;
create table fake.apart as select interval '0' as by;
create sequence fake.asked;
create function fake.clock_timestamp() returns timestamptz language sql volatile
    as 'select pg_catalog.clock_timestamp() + by from fake.apart where nextval(''fake.asked'') > 0';
"""


@pytest.fixture(scope="module")
def own() -> Iterator[EmbeddedPostgres]:
    """A cluster whose settings may be changed, migrated, and that prepares transactions."""
    for made in make_cluster(within=memory(), made=migrated):
        with psycopg.connect(made.url, autocommit=True) as sql:
            sql.execute("alter system set max_prepared_transactions = 5")
        made.stop()
        made.start()
        yield made


@asynccontextmanager
async def beside(url: URL, work: Callable[[Reader], Coroutine[Any, Any, None]]) -> AsyncIterator[Reader]:
    """A watch that runs while a test looks at what it says."""
    async with Pool(as_service(url), 2) as readers:
        reader = Reader(readers)
        task = asyncio.create_task(work(reader))
        try:
            yield reader
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def warned(caplog: pytest.LogCaptureFixture, part: str) -> list[str]:
    return [each.getMessage() for each in caplog.records if part in each.getMessage()]


async def until_warned(caplog: pytest.LogCaptureFixture, part: str) -> str:
    async with asyncio.timeout(30):
        while not (found := warned(caplog, part)):
            await asyncio.sleep(0.02)
    return found[0]


def reloaded(cluster: EmbeddedPostgres, how: str, names: tuple[str, ...], value: str) -> None:
    """Set what a whole server goes by, and wait until new sessions do."""
    with psycopg.connect(cluster.url, autocommit=True) as sql:
        for name in names:
            sql.execute(how.format(name))
        sql.execute("select pg_reload_conf()")
    wait_for(lambda: all(_of_new_sessions(cluster, name) == value for name in names), f"{names} are {value}")


def _of_new_sessions(cluster: EmbeddedPostgres, name: str) -> str:
    with psycopg.connect(cluster.url) as sql:
        row = sql.execute("select current_setting(%s)", (name,)).fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize(
    ("what", "where"),
    [
        ("role postgres", "for the role postgres (alter role … reset synchronous_commit)"),
        ("database postgres", "for the database"),
        ("role postgres in database postgres", "in this database"),
    ],
)
def test_commits_that_are_not_waited_for_are_warned_of(
    own: EmbeddedPostgres, caplog: pytest.LogCaptureFixture, what: str, where: str
) -> None:
    with psycopg.connect(own.url, autocommit=True) as sql:
        sql.execute(f"alter {what} set synchronous_commit = off")
        try:
            require_role_and_limits(parse_url(own.url))
        finally:
            sql.execute(f"alter {what} reset synchronous_commit")
    (said,) = warned(caplog, "synchronous_commit is off")
    assert where in said
    assert [each.levelno for each in caplog.records if "synchronous_commit" in each.getMessage()] == [logging.WARNING]


def test_a_server_that_may_lose_its_data_is_warned_of_one_by_one(
    own: EmbeddedPostgres, caplog: pytest.LogCaptureFixture
) -> None:
    names = ("synchronous_commit", "fsync", "full_page_writes")
    reloaded(own, "alter system set {} = off", names, "off")
    try:
        require_role_and_limits(parse_url(own.url))
        found = asyncio.run(run_checks(parse_url(own.url), {}, MIGRATIONS))
    finally:
        reloaded(own, "alter system reset {}", names, "on")
    for name in names:
        assert len(warned(caplog, f"{name} is off")) == 1
        assert f"{name} is off" in database(found).found
    assert "set in the server's configuration" in warned(caplog, "synchronous_commit is off")[0]
    assert not database(found).well


def database(found: list[Finding]) -> Finding:
    return next(each for each in found if each.what == "database")


def test_a_standby_is_refused_and_doctor_looks_all_the_same(own: EmbeddedPostgres) -> None:
    own.stop()
    signal = own.data / "standby.signal"
    signal.touch()
    os.chown(signal, own.data.stat().st_uid, own.data.stat().st_gid)
    try:
        own.start()
        with pytest.raises(StartupError, match="is a standby and cannot be written to"):
            require_usable_server(parse_url(own.url))
        found = asyncio.run(run_checks(parse_url(own.url), {}, MIGRATIONS))
    finally:
        own.stop()
        Path(signal).unlink()
        own.start()
    assert "is a standby" in database(found).found
    assert Finding("sagas", True, "none open") in found


@pytest.fixture
def clock(database_18: URL) -> Iterator[tuple[URL, psycopg.Connection]]:
    """A database whose clock can be set, and who sets it."""
    with psycopg.connect(conninfo(database_18), autocommit=True) as sql:
        sql.execute(CLOCK)
        sql.execute("grant usage on schema fake to amends_service; grant select on fake.apart to amends_service")
        sql.execute("grant usage, select on sequence fake.asked to amends_service")
        yield database_18.update_query_dict({"options": "-c search_path=fake,pg_catalog"}), sql


@pytest.mark.parametrize(("by", "said"), [("37 s", "37 s ahead of"), ("-3 hours", "10,800 s behind")])
def test_a_clock_that_is_not_ours_is_warned_of(
    clock: tuple[URL, psycopg.Connection], caplog: pytest.LogCaptureFixture, by: str, said: str
) -> None:
    url, sql = clock
    require_role_and_limits(url)
    assert not warned(caplog, "clock")
    sql.execute("update fake.apart set by = %s", (by,))
    require_role_and_limits(url)
    (found,) = warned(caplog, "clock")
    assert f"The database's clock is {said} this machine's" in found


async def test_a_clock_that_jumps_is_warned_of_once(
    clock: tuple[URL, psycopg.Connection], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durability, "LOOK_SECONDS", 0.05)
    url, sql = clock
    async with beside(url, watch_clock) as reader:
        async with asyncio.timeout(30):
            while (await reader.rows("select from fake.asked where last_value > 1", ())) == []:
                await asyncio.sleep(0.02)
        sql.execute("update fake.apart set by = '1 hour'")
        assert "was set 3,600 s ahead of where it was" in await until_warned(caplog, "ahead of")
        sql.execute("update fake.apart set by = '0'")
        assert "was set 3,600 s back behind where it was" in await until_warned(caplog, "back behind")
    assert len(warned(caplog, "clock")) == 2


@given(at=st.floats(0, 1e9), took=st.floats(0, 100), passed=st.floats(0, 1e6), jumped=st.floats(-1e6, 1e6))
def test_a_jump_is_told_from_an_answer_that_takes_long(at: float, took: float, passed: float, jumped: float) -> None:
    last, now = (at, 0.0, took), (at + took + passed + jumped, took + passed, took + passed + took)
    found = clock_jump(last, now)
    assert abs(found) <= abs(jumped) + 1e-3
    assert abs(jumped) - abs(found) <= 2 * took + 1e-3


async def test_prepared_transactions_that_hold_the_feed_back_are_named_one_after_the_other(
    own: EmbeddedPostgres, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_back, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(held_back, "LONG_SECONDS", 0.3)
    url = parse_url(own.url)
    with psycopg.connect(own.url, autocommit=True) as sql:
        for gid in ("it's the first", "the second"):
            sql.execute("begin")
            sql.execute("select pg_current_xact_id()")
            sql.execute("prepare transaction " + psycopg.sql.Literal(gid).as_string())
        async with beside(url, warn_of_feed_lag) as reader:
            said = await until_warned(caplog, "'it''s the first'")
            assert "commit prepared 'it''s the first', or: rollback prepared 'it''s the first'" in said
            assert "in database postgres, as postgres" in said
            assert "pg_terminate_backend" not in said
            found = await blocking_transaction(reader)
            assert found is not None
            assert (found.gid, found.pid, found.who) == ("it's the first", None, "postgres")
            feed = next(each for each in await run_checks(url, {}, MIGRATIONS) if each.what == "feed")
            assert "rollback prepared 'it''s the first'" in feed.found
            sql.execute(found.remedy.split("or: ")[1])
            said = await until_warned(caplog, "'the second'")
            sql.execute("rollback prepared 'the second'")
    assert len(warned(caplog, "'it''s the first'")) == 1


async def test_a_transaction_that_was_warned_of_is_no_other_one_once_it_is_prepared(
    own: EmbeddedPostgres, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_back, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(held_back, "LONG_SECONDS", 0.3)
    with psycopg.connect(own.url, autocommit=True) as sql:
        sql.execute("begin")
        sql.execute("select pg_current_xact_id()")
        async with beside(parse_url(own.url), warn_of_feed_lag) as reader:
            await until_warned(caplog, f"process {sql.info.backend_pid}")
            sql.execute("prepare transaction 'late'")
            async with asyncio.timeout(30):
                while (
                    (found := await blocking_transaction(reader)) is None
                    or found.gid is None
                    or (found.seconds or 0) < 1
                ):
                    await asyncio.sleep(0.02)
        sql.execute("rollback prepared 'late'")
    assert not warned(caplog, "'late'"), "it was said of this transaction, and a minute is not over"


def test_a_warning_is_there_within_the_ten_seconds_that_the_docs_promise() -> None:
    assert held_back.LONG_SECONDS + held_back.LOOK_SECONDS < 10


@pytest.mark.parametrize("gid", [None, "a", "it's"])
def test_what_may_not_be_seen_is_said_so(gid: str | None) -> None:
    unseen = BlockingTransaction("1", None if gid else 7, gid, None, None, None)
    assert "unknown" in str(unseen)
    assert not unseen.is_long
    assert "None" not in str(unseen) + unseen.remedy
