"""A backup restored into another cluster, whose transaction ids begin elsewhere: nothing is skipped or reordered."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator, Sequence
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.connections.watch import DatabaseWatch
from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.generations import open_generation, require_current_generation
from app.amends.postgres.roles import as_service
from app.amends.postgres.urls import conninfo, parse_url
from app.amends.store.events.postgres_events import PostgresEvents
from domain.amends.errors import StartupError, Unavailable
from domain.amends.expected import exact
from tests.amends.harness.databases import make_cluster, prepare
from tests.amends.store.harness.fire import anything, session, settled, write
from tests.amends.store.harness.sagas import event, store
from workflows.amends.ports.event_store import START, AppendResult, EventStore, FeedFilter, StoredEvent

Sql = psycopg.Connection

RESTORED = """
insert into amends.events (id, stream, version, type, schema_version, data, metadata, transaction_id)
select gen_random_uuid(), 'old', n, 'thing-happened', 1, '{}', '{"correlation_id": "story"}', '1000000000000000'
  from generate_series(1, 5) as n"""
BURN = "do $$ begin for n in 1..20000 loop perform pg_current_xact_id(); commit; end loop; end $$"


async def read(url: URL, token: str = "0", only: FeedFilter = FeedFilter()) -> list[StoredEvent]:
    """The feed from a token on, in small pages."""
    async with store(url) as it:
        events = PostgresEvents(it.writer, it.reader)
        cursor, seen = await events.parse_cursor(token), list[StoredEvent]()
        while page := await events.feed(cursor, 3, only):
            seen, cursor = seen + page, page[-1].cursor
        return seen


async def append(url: URL, *streams: str) -> None:
    """One event each, and wait until all may be seen."""
    async with store(url) as it, asyncio.timeout(20):
        events = PostgresEvents(it.writer, it.reader)
        for stream in streams:
            done = await events.append([event(stream)], {stream: exact(await events.version(stream))})
            assert isinstance(done, AppendResult)
            while not (page := await events.feed(limit=10_000)) or page[-1].cursor < done.cursor:
                await asyncio.sleep(0.01)


def names(seen: Sequence[StoredEvent]) -> list[tuple[str, int]]:
    return [(each.stream, each.version) for each in seen]


OLD = [("before", 1), *(("old", n) for n in range(1, 6))]


@pytest.fixture
async def restored(database: URL, sql: Sql) -> URL:
    """Events of this cluster, and then some of one that had come much further."""
    require_current_generation(database)
    await append(database, "before")
    require_current_generation(database)
    sql.execute(RESTORED)
    return database


async def test_a_start_on_events_of_a_cluster_that_was_ahead_is_refused(restored: URL) -> None:
    with pytest.raises(StartupError, match="restored from another one"):
        require_current_generation(restored)
    with pytest.raises(StartupError, match="restored from another one"):
        prepare(restored)
    assert open_generation(restored, "restored") == 2
    require_current_generation(restored)
    prepare(restored)


async def test_new_events_come_after_all_that_were_restored(restored: URL) -> None:
    open_generation(restored, "restored")
    assert names(await read(restored)) == OLD
    await append(restored, "new", "old", "before", "old")
    new = [("new", 1), ("old", 6), ("before", 2), ("old", 7)]
    assert names(await read(restored)) == OLD + new
    require_current_generation(restored)
    for stream in ("old", "before", "new"):
        of_stream = [each for each in OLD + new if each[0] == stream]
        assert names(await read(restored, only=FeedFilter(stream=stream))) == of_stream
    assert names(await read(restored, only=FeedFilter(type="thing-happened"))) == OLD + new
    assert names(await read(restored, only=FeedFilter(correlation_id="story"))) == OLD[1:]


async def test_a_token_of_before_a_restore_resumes_where_it_stood(restored: URL, sql: Sql) -> None:
    given = sql.execute("select amends.place_token(position) from amends.events order by position").fetchall()
    open_generation(restored, "restored")
    await append(restored, "new", "old")
    everything = [*OLD, ("new", 1), ("old", 6)]
    for number, (token,) in enumerate(given, start=1):
        assert names(await read(restored, token)) == everything[number:]
        assert names(await read(restored, str(number))) == everything[number:], "a plain position is resolved"


async def test_a_second_restore_opens_a_third_generation(restored: URL, sql: Sql) -> None:
    open_generation(restored, "restored")
    await append(restored, "new")
    sql.execute(RESTORED.replace("'old'", "'older'"))
    with pytest.raises(StartupError):
        require_current_generation(restored)
    assert open_generation(restored, "again") == 3
    await append(restored, "newer")
    assert names(await read(restored)) == [
        *OLD,
        ("new", 1),
        *(("older", version) for version in range(1, 6)),
        ("newer", 1),
    ]


async def test_a_generation_is_opened_once_everybody_has_written(database: URL, sql: Sql) -> None:
    """An open write belongs to the old generation, and is not skipped by those who see the new one."""
    early, late = event("early"), event("late")
    async with session(database) as writer, store(database) as it:
        events = PostgresEvents(it.writer, it.reader)
        await write(writer, early)
        opening = asyncio.create_task(asyncio.to_thread(open_generation, database, "a rehearsal"))
        await blocked(sql)
        appending = asyncio.create_task(events.append([late]))
        assert not opening.done()
        await writer.commit()
        assert await opening == 2
        await appending
        await settled(database)
        assert [(each.id, each.generation) for each in await events.feed()] == [(early.id, 1), (late.id, 2)]


async def blocked(sql: Sql) -> None:
    async with asyncio.timeout(20):
        while sql.execute("select from pg_locks where not granted and mode = 'AccessExclusiveLock'").fetchone() is None:
            await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def younger() -> Iterator[EmbeddedPostgres]:
    """Another cluster that has given out few transaction ids."""
    yield from make_cluster()


def run(cluster: EmbeddedPostgres, program: str, *arguments: str, input: bytes = b"") -> bytes:
    """One of Postgres's own tools. A role that the other cluster does not have is no reason to stop."""
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    command = [str(cluster.programs / program), *arguments]
    return subprocess.run(command, input=input, capture_output=True, check=True, env=environment).stdout


def restore(source: URL, cluster: EmbeddedPostgres, tool: str) -> URL:
    """Dump one database and restore it as a new one of another cluster."""
    url = parse_url(cluster.url).set(database=f"restored_by_{tool}_{uuid4().hex[:8]}")
    with psycopg.connect(cluster.url, autocommit=True) as connection:
        connection.execute(f"create database {url.database}")
    if tool == "psql":
        dump = run(cluster, "pg_dump", "--dbname", conninfo(source))
        run(cluster, "psql", "--quiet", "--no-psqlrc", "--dbname", conninfo(url), input=dump)
    else:
        dump = run(cluster, "pg_dump", "--format=custom", "--no-acl", "--dbname", conninfo(source))
        run(cluster, "pg_restore", "--exit-on-error", "--dbname", conninfo(url), input=dump)
    return url


def next_id(url: URL) -> int:
    with psycopg.connect(conninfo(url)) as connection:
        row = connection.execute("select pg_snapshot_xmax(pg_current_snapshot())::text::bigint").fetchone()
    assert row is not None
    return int(row[0])


async def fill(events: EventStore) -> None:
    for number in range(40):
        await events.append([anything(f"s-{(number + n) % 5}") for n in range(3)])


@pytest.mark.parametrize("tool", ["psql", "pg_restore"])
async def test_a_dump_restored_into_another_cluster_goes_on_where_it_ended(
    database_18: URL, younger: EmbeddedPostgres, tool: str
) -> None:
    async with store(database_18) as it:
        with psycopg.connect(conninfo(database_18), autocommit=True) as connection:
            connection.execute(BURN)
        await fill(PostgresEvents(it.writer, it.reader))
    await settled(database_18)
    old = await read(database_18)
    url = restore(database_18, younger, tool)
    assert next_id(url) < old[0].transaction_id
    with pytest.raises(StartupError, match="restored from another one"):
        prepare(url)
    open_generation(url, f"restored with {tool}")
    prepare(url)
    await append(url, "s-0", "new")
    everything = await read(url)
    assert everything[:-2] == old
    assert names(everything[-2:]) == [("s-0", len([each for each in old if each.stream == "s-0"]) + 1), ("new", 1)]
    assert everything[-1].position > old[-1].position
    assert await read(url, str(old[49].cursor)) == everything[50:]
    assert START < old[-1].cursor < everything[-2].cursor
    with (
        psycopg.connect(conninfo(url)) as connection,
        pytest.raises(psycopg.errors.RestrictViolation, match="immutable"),
    ):
        connection.execute("update amends.events set version = version + 1")


async def test_servers_that_run_write_nothing_until_a_generation_is_opened_and_go_on_by_themselves(
    database_18: URL, younger: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As where a name leads to the restored cluster from one moment to the next."""
    monkeypatch.setattr("app.amends.store.events.postgres_events.PATIENCE", 0.5)
    with psycopg.connect(conninfo(database_18), autocommit=True) as connection:
        connection.execute(BURN)
    await append(database_18, "old")
    await settled(database_18)
    url = restore(database_18, younger, "psql")
    watch = DatabaseWatch(as_service(url))
    async with store(url) as it:
        events = PostgresEvents(it.writer, it.reader)
        (old,) = await events.read("old")
        assert await events.feed(old.cursor) == [], "it stands, and nobody is told otherwise"
        assert await watch.ask_problem() is None, "it is read"
        assert "./run amends restored" in (watch.unwritable or "")
        new = [event("new")]
        for _ in range(2):
            with pytest.raises(Unavailable):
                await events.append(new)
        open_generation(url, "restored while servers run")
        assert isinstance(await events.append(new), AppendResult)
        assert await watch.ask_problem() is None
        assert watch.unwritable is None
        async with asyncio.timeout(30):
            while not (page := await events.feed(old.cursor)):
                await asyncio.sleep(0.02)
        assert names(page) == [("new", 1)]
    await watch.stop()
    told = [each.getMessage().partition(":")[0] for each in caplog.records]
    assert [each for each in told if "written to" in each] == [
        "The database is not written to",
        "The database is written to again.",
    ]
