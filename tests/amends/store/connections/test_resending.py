"""What is sent again, how often, and how that ends: for commits, reads and commits with an inline read model."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.http.problems import error_response
from app.amends.postgres.connections.pool import Pool
from app.amends.postgres.roles import as_service
from app.amends.postgres.sqlstates import CONTENDED_TRIES, LARGE, SLOW_TRIES, Verdict
from app.amends.postgres.statements.committer import AlreadyExists, Committer
from app.amends.postgres.statements.reader import Reader
from app.amends.postgres.statements.resending import Resending
from app.amends.store.events.postgres_events import PostgresEvents
from app.amends.store.sagas.heartbeats import Heartbeat
from domain.amends.errors import Contended, Unavailable, Unstorable
from tests.amends.store.harness.sagas import event, started, step_commit, store
from tests.amends.store.harness.trouble import (
    FOR_EVER,
    LONG,
    fails_for,
    held,
    limited,
    missing,
    read_only,
    said,
    soon,
    tries,
    trouble,
    until,
)
from workflows.amends.ports.event_store import AppendResult
from workflows.amends.ports.execution_log import Committed

__all__ = ["soon", "trouble"]

Sql = psycopg.Connection
FAIL = "select public.fail(%s, %s)"


@asynccontextmanager
async def committing(url: URL) -> AsyncIterator[Committer]:
    committer = Committer(as_service(url), 1)
    committer.start()
    try:
        yield committer
    finally:
        await committer.stop()


@asynccontextmanager
async def reading(url: URL, size: int = 2) -> AsyncIterator[Reader]:
    async with Pool(as_service(url), size) as readers:
        yield Reader(readers)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(
    "code", ["08006", "25006", "40001", "40P01", "42501", "42P01", "53100", "55P03", "57014", "57P03", "72000", "XX000"]
)
async def test_what_passes_is_sent_again_until_it_has(database: URL, trouble: Sql, code: str) -> None:
    often = 2 * CONTENDED_TRIES
    async with committing(database) as committer, reading(database) as reader:
        assert await committer.run(FAIL, (often, code)) == [(often + 1,)]
        trouble.execute("alter sequence public.tries restart")
        assert await reader.tuples(FAIL, (often, code), patience=None) == [(often + 1,)]


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("statement", [FAIL, f"{FAIL} where %s::text is not null"])
async def test_what_is_large_and_takes_longer_than_it_may_ends(database: URL, trouble: Sql, statement: str) -> None:
    parameters = (FOR_EVER, "57014", *(["x" * 2 * LARGE] if statement != FAIL else []))
    async with committing(database) as committer:
        commit = asyncio.create_task(committer.run(statement, parameters))
        if statement == FAIL:
            await until(lambda: tries(trouble) > 2 * CONTENDED_TRIES)
            assert not commit.done(), "the machine may be slow: nobody is to blame"
            commit.cancel()
        else:
            with pytest.raises(Contended, match="3 tries came to nothing, lastly with: trouble with 57014"):
                await commit
            assert tries(trouble) == SLOW_TRIES


async def test_who_has_no_patience_left_is_told_so_whatever_is_counted(database: URL, trouble: Sql) -> None:
    async with committing(database) as committer, reading(database) as reader:
        for asked in (committer.run, reader.tuples):
            for code in ("40001", "55P03", "53100", "42501"):
                with pytest.raises(Unavailable):
                    await asked(FAIL, (FOR_EVER, code), 0.1)


async def test_what_never_passes_is_tried_once(database: URL, trouble: Sql) -> None:
    hold = "with a as (select nextval('public.tries')) insert into public.notes"
    async with committing(database) as committer:
        for number, (statement, expected) in enumerate(
            [
                (f"{hold} (n) select 4711 from a", "violates foreign key constraint"),
                (f"{hold} (n, long) select null, ({LONG}) from a", "index row requires"),
                ("select (nextval('public.tries') || 'x')::int", "invalid input syntax"),
                ("select public.fail(1000, 'P0001')", "trouble with P0001"),
                ("select public.fail(1000, 'MY001')", "trouble with MY001"),
            ]
        ):
            with pytest.raises(Unstorable, match=expected) as ended:
                await committer.run(statement, ())
            assert not isinstance(ended.value, AlreadyExists)
            assert tries(trouble) == number + 1
        with pytest.raises(AlreadyExists):
            await committer.run("insert into public.stock values ('apple', 1)", ())
        with pytest.raises(Unstorable, match="number of parameters"):
            await committer.run(f"select {','.join(['%s'] * 70_000)}", list(range(70_000)))
    async with reading(database) as reader:
        with pytest.raises(psycopg.errors.DivisionByZero):
            await reader.tuples("select 1 / 0", (), patience=None)
        with pytest.raises(psycopg.errors.UndefinedTable):
            await reader.tuples("select from public.nothing", (), patience=None, ours=False)


@pytest.mark.usefixtures("soon")
async def test_who_always_meets_an_error_holds_up_nobody_who_is_ready_with_him(
    database: URL, trouble: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.amends.store.events.postgres_events.PATIENCE", None)
    fails_for(trouble, "s-3", "P0001")
    async with store(database, connections=1) as it:
        events = PostgresEvents(it.writer, it.reader)
        done = await asyncio.gather(*(events.append([event(f"s-{n}")]) for n in range(20)), return_exceptions=True)
        ended = done.pop(3)
        assert isinstance(ended, Unstorable)
        assert tries(trouble) == 2, "once with the others, once alone"
        assert all(isinstance(each, AppendResult) for each in done)


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("what", ["right", "table", "function"])
async def test_what_amends_itself_lacks_is_said_and_waited_for(
    database: URL, trouble: Sql, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    async with store(database) as it:
        saga = await started(it)
        with said(caplog) as times:
            with missing(trouble, what):
                commit = asyncio.create_task(it.sagas.commit(saga, "me", step_commit(saga, 1, event("order-1"))))
                await until(lambda: times("the database lacks what Amends needs") > 2 * CONTENDED_TRIES)
                assert not commit.done()
            assert await commit == Committed()
        assert any(each.levelname == "ERROR" for each in caplog.records)
        assert [each.version for each in await PostgresEvents(it.writer, it.reader).read("order-1")] == [1]


@pytest.mark.usefixtures("soon")
async def test_a_read_waits_for_a_table_that_is_missing(
    database: URL, trouble: Sql, caplog: pytest.LogCaptureFixture
) -> None:
    async with store(database) as it:
        saga = await started(it)
        with said(caplog) as times:
            with missing(trouble, "table"):
                read = asyncio.create_task(it.sagas.load_replay_state(saga))
                await until(lambda: times("A read is sent again: the database lacks") > 2 * CONTENDED_TRIES)
            assert await read is not None


@pytest.mark.usefixtures("soon")
async def test_a_database_that_takes_no_writes_is_waited_for(
    database: URL, trouble: Sql, caplog: pytest.LogCaptureFixture
) -> None:
    async with store(database, connections=1) as it:
        saga = await started(it)
        with said(caplog) as times:
            with read_only(trouble):
                commit = asyncio.create_task(it.sagas.commit(saga, "me", step_commit(saga, 1)))
                await until(lambda: times("read-only transaction") > 2 * CONTENDED_TRIES)
                assert not commit.done()
            assert await commit == Committed(), "its session was read-only, and is another one now"


@pytest.mark.usefixtures("soon")
async def test_a_stream_that_is_not_free_is_waited_for(
    database: URL, trouble: Sql, caplog: pytest.LogCaptureFixture
) -> None:
    async with store(database) as it, store(limited(database, lock_timeout="10ms"), connections=1) as other:
        saga = await started(it)
        with said(caplog) as times:
            with held(database, f"saga-{saga}"):
                commit = asyncio.create_task(other.sagas.commit(saga, "me", step_commit(saga, 1)))
                await until(lambda: times("lock timeout") > 2 * CONTENDED_TRIES)
                assert not commit.done()
            assert await commit == Committed()


async def test_a_lease_is_renewed_on_another_session_once_the_database_takes_writes(
    database: URL, trouble: Sql
) -> None:
    heartbeat = Heartbeat(as_service(database))
    with read_only(trouble), pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        heartbeat.renew_lease("nobody", 5)
    assert heartbeat.renew_lease("nobody", 5) is None
    heartbeat.close()


def test_a_request_that_came_to_nothing_is_told_to_come_again() -> None:
    answered = error_response(Contended(3, "canceling statement due to statement timeout"))
    assert (answered.status_code, answered.headers["retry-after"]) == (503, "1")
    assert b"3 tries came to nothing, lastly with: canceling statement" in bytes(answered.body)


def test_the_log_is_quiet_at_first_and_then_speaks_up_more_and_more_rarely() -> None:
    seconds = [0.0, 0.1, 1.9, 2.1, 3.0, 4.1, 4.3, 8.0, 8.7, 17.3, 17.5, 36.0]
    for found in Verdict:
        tries = Resending("A commit", None)
        levels = [logging.getLevelName(tries._level(found, lasted)) for lasted in seconds]
        aloud = [lasted for lasted, level in zip(seconds, levels, strict=True) if level != "DEBUG"]
        assert aloud == ([0.0, 4.1, 8.7, 17.5, 36.0] if found.is_alarming else [2.1, 4.3, 8.7, 17.5, 36.0])
        assert set(levels) == {"DEBUG", "ERROR" if found.is_alarming else "WARNING"}
