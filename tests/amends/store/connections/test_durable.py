"""What was answered is durable: nothing that is sent again passes a standby over that has not got it yet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.statements import committer
from app.amends.postgres.statements.resending import Unsettled
from app.amends.postgres.urls import conninfo, parse_url
from app.amends.store.events.postgres_events import PostgresEvents
from app.amends.store.idempotent_requests import IdempotentRequests
from domain.amends.errors import Unavailable
from tests.amends.harness.databases import make_cluster, memory, migrated
from tests.amends.harness.server import wait_for
from tests.amends.store.harness.sagas import Store, event, started, step_commit, store
from tests.amends.store.harness.trouble import until
from workflows.amends.ports.event_store import AppendResult, StoredAnswer
from workflows.amends.ports.execution_log import Committed, RecordLost, SagaMissing

Sql = psycopg.Connection
WAITING = "select pid from pg_stat_activity where wait_event = 'SyncRep'"


@pytest.fixture(scope="module")
def replicated() -> Iterator[EmbeddedPostgres]:
    """A Postgres of which each test decides whether there is a standby: there never is one."""
    yield from make_cluster(within=memory(), made=migrated)


@pytest.fixture
def sql(replicated: EmbeddedPostgres) -> Iterator[Sql]:
    with psycopg.connect(conninfo(parse_url(replicated.url)), autocommit=True) as connection:
        connection.execute("set synchronous_commit = local")
        yield connection
        standby(connection, False)


@pytest.fixture
async def it(replicated: EmbeddedPostgres) -> AsyncIterator[Store]:
    async with store(parse_url(replicated.url)) as opened:
        yield opened


def standby(sql: Sql, wanted: bool) -> None:
    """Say whether commits have to wait for a standby that does not exist; returns once they do, or do not."""
    sql.execute(f"alter system set synchronous_standby_names = '{'nobody' if wanted else ''}'")
    sql.execute("select pg_reload_conf()")
    wait_for(lambda: waits(sql) is wanted, "Postgres has taken note of that")


def waits(sql: Sql) -> bool:
    """Whether a commit waits for a standby now."""
    dsn, password = sql.info.dsn, sql.info.password
    with psycopg.connect(dsn, password=password, autocommit=True) as other, ThreadPoolExecutor(1) as aside:
        asked = aside.submit(other.execute, "select pg_logical_emit_message(true, 'test', '')")
        while not asked.done():
            if (other.info.backend_pid,) in sql.execute(WAITING).fetchall():
                sql.execute("select pg_terminate_backend(%s)", (other.info.backend_pid,))
                asked.exception()
                return True
        return False


async def waiting(sql: Sql, what: asyncio.Task[object]) -> list[int]:
    """The processes that wait for a standby, once there is one."""
    found: list[int] = []

    def there() -> bool:
        found[:] = [pid for (pid,) in sql.execute(WAITING).fetchall()]
        return bool(found) or what.done()

    await until(there)
    assert not what.done(), "nobody waited for the standby"
    return found


async def start(it: Store) -> Callable[[], Awaitable[object]]:
    id = "s-start"
    return lambda: started(it, id=id)


async def append(it: Store) -> Callable[[], Awaitable[object]]:
    new = [event("order-append"), event("order-append")]
    return lambda: PostgresEvents(it.writer, it.reader).append(new)


async def append_one(it: Store) -> Callable[[], Awaitable[object]]:
    new = [event("order-append-one")]
    return lambda: PostgresEvents(it.writer, it.reader).append(new)


async def commit(it: Store) -> Callable[[], Awaitable[object]]:
    saga = await started(it)
    new = step_commit(saga, 1, event("order-commit"))
    return lambda: it.sagas.commit(saga, "me", new)


async def own_sql(it: Store) -> Callable[[], Awaitable[object]]:
    saga = await started(it)
    new = step_commit(saga, 1, event("order-own"))

    async def run() -> object:
        async with it.sagas.transaction(saga, "me") as unit:
            await unit.execute("set client_min_messages = error", None)
            return await unit.commit(new)

    return run


async def signal(it: Store) -> Callable[[], Awaitable[object]]:
    saga = await started(it)
    told = event(f"saga-{saga}", "signal-received", {"signal": "go", "payload": None})
    return lambda: it.sagas.signal(saga, "go", told, None)


async def cancel(it: Store) -> Callable[[], Awaitable[object]]:
    saga = await started(it)
    told = event(f"saga-{saga}", "cancel-requested", {"reason": "no more"})
    return lambda: it.sagas.cancel(saga, [], "no more", told, None)


KINDS = [start, append, append_one, commit, own_sql, signal, cancel]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_wait_for_a_standby_that_is_cancelled_is_no_answer(
    it: Store, sql: Sql, kind: Callable[[Store], Awaitable[Callable[[], Awaitable[object]]]]
) -> None:
    """Postgres has committed it then, for all to see, and warns of it; the same sent again waits as before."""
    do = await kind(it)
    standby(sql, True)
    asked = asyncio.ensure_future(do())
    cancelled = 0
    while cancelled < 3:
        for pid in await waiting(sql, asked):
            sql.execute("select pg_cancel_backend(%s)", (pid,))
            cancelled += 1
            await until(lambda pid=pid: (pid,) not in sql.execute(WAITING).fetchall())  # type: ignore[misc]
    assert not asked.done()
    standby(sql, False)
    await asyncio.wait_for(asked, 30)


async def test_what_is_known_from_before_is_answered_once_it_is_durable(it: Store, sql: Sql) -> None:
    """Sent again by somebody else: all that is there was committed by others, who did not wait."""
    events, new = PostgresEvents(it.writer, it.reader), [event("order-known"), event("order-known")]
    kept = StoredAnswer("key-1", "digest", {"said": "yes"})
    await events.append(new, answer=kept)
    await started(it, id="s-known")

    async def never() -> dict[str, object]:
        raise AssertionError("it was answered before")

    requests = IdempotentRequests(it.reader)
    standby(sql, True)
    for again in (
        lambda: events.append(new),
        lambda: events.append(new, answer=kept),
        lambda: requests.once("key-1", "asked", lambda key: never()),
        lambda: started(it, id="s-known"),
    ):
        asked = asyncio.ensure_future(again())
        await waiting(sql, asked)
        assert not asked.done()
        standby(sql, False)
        await asyncio.wait([asked], timeout=30)
        assert asked.done()
        asked.exception()
        standby(sql, True)
    standby(sql, False)


async def test_whoever_loses_patience_cancels_nothing(it: Store, sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that is given up stays invisible until a standby has it, and so few of them are left behind."""
    monkeypatch.setattr(committer, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr("app.amends.store.events.postgres_events.PATIENCE", 0.5)
    events = PostgresEvents(it.writer, it.reader)
    standby(sql, True)
    new = [[event(f"order-patience-{number}")] for number in range(30)]
    asked = await asyncio.gather(*(events.append(each) for each in new), return_exceptions=True)
    assert all(isinstance(each, Unavailable) for each in asked)
    assert isinstance(asked[0], Unsettled), "what was sent may be carried out yet, and nobody is told otherwise"
    seen = "select count(*) from amends.events where stream like 'order-patience-%'"
    assert sql.execute(seen).fetchone() == (0,)
    left = sql.execute(f"select count(*) from ({WAITING}) as w").fetchone()
    assert left is not None
    assert left[0] <= 8, "each connection leaves one behind at most"
    standby(sql, False)
    for each in new:
        assert isinstance(await events.append(each), AppendResult)
    assert sql.execute(seen).fetchone() == (30,)


async def test_a_saga_goes_on_only_from_what_is_on_record(it: Store) -> None:
    saga = await started(it)
    first, lost = step_commit(saga, 1), step_commit(saga, 2)
    assert await it.sagas.commit(saga, "me", first) == Committed()
    stands = frozenset({first.events[0].id})
    third = replace(step_commit(saga, 3), after=stands)
    assert await it.sagas.commit(saga, "me", third) == Committed()
    with pytest.raises(RecordLost):
        await it.sagas.commit(saga, "me", replace(step_commit(saga, 4), after=stands | {lost.events[0].id}))
    assert await it.sagas.commit(saga, "me", third) == Committed(), "the same again"
    with pytest.raises(SagaMissing):
        await it.sagas.commit("never-started", "me", step_commit("never-started", 1))


@pytest.mark.parametrize("cut", [False, True], ids=["waits", "answer lost"])
async def test_nobody_is_told_that_nothing_was_done_of_what_may_be_carried_out(
    it: Store, sql: Sql, monkeypatch: pytest.MonkeyPatch, cut: bool
) -> None:
    """Also where the connection was made anew for it, and where it is lost while the commit waits."""
    monkeypatch.setattr("app.amends.store.events.postgres_events.PATIENCE", 1.0)
    events, name = PostgresEvents(it.writer, it.reader), f"order-unsettled-{cut}"
    await it.committer.resend_all()
    standby(sql, True)
    asked = asyncio.ensure_future(events.append([event(name)]))
    for pid in await waiting(sql, asked):
        if cut:
            sql.execute("select pg_terminate_backend(%s)", (pid,))
    with pytest.raises(Unsettled):
        await asked
    standby(sql, False)
    await until(lambda: sql.execute("select from amends.events where stream = %s", (name,)).rowcount == 1)


async def test_what_was_never_sent_is_said_to_be_so(it: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(_: object) -> None:
        raise OSError("connection refused")

    monkeypatch.setattr("app.amends.postgres.statements.commit_connection.CommitConnection.open", refused)
    monkeypatch.setattr("app.amends.store.events.postgres_events.PATIENCE", 0.3)
    with pytest.raises(Unavailable) as told:
        await PostgresEvents(it.writer, it.reader).append([event("order-never-sent")])
    assert type(told.value) is Unavailable
