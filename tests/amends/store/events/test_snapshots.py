"""Snapshots are a cache: they change how fast a state is there, never what it is."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.rows import TupleRow
from sqlalchemy import URL

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo
from app.amends.store.aggregates.loader import PAGE
from domain.amends.aggregate import Aggregate
from domain.amends.event import Cause
from tests.amends.business.account import Account, MoneyDeposited, accounts
from tests.amends.harness.databases import fresh_database
from tests.amends.store.code_fingerprint.folds import Odd, Seen, seeing
from tests.amends.store.harness.accounts import Bank, bank
from workflows.amends.ports.event_store import load_event_json, new_business_event

Sql = psycopg.Connection


def snapshots(sql: Sql) -> list[tuple[str, int]]:
    return [(str(s), int(v)) for s, v in sql.execute("select stream, version from amends.snapshots order by 1")]


async def test_a_snapshot_is_taken_after_so_many_events(database: URL, sql: Sql) -> None:
    async with bank(database, snapshot_every=5) as it:
        await it.open("a")
        for number in range(1, 8):
            assert await it.balance("a") == number - 1
            await it.loader.settle()
            assert snapshots(sql) == ([("account-a", 5)] if number >= 5 else [])
            await it.deposit("a", 1)
            await it.loader.settle()


async def test_a_snapshot_is_used(database: URL, sql: Sql) -> None:
    async with bank(database, snapshot_every=5) as it:
        await it.open("a")
        await it.append("a", *[MoneyDeposited(1)] * 9)
        assert await it.balance("a") == 9
        await it.loader.settle()
        sql.execute("update amends.snapshots set state = jsonb_set(state, '{balance}', '1000')")
        assert await it.balance("a") == 1000, "a lie that is believed shows that it was asked"


async def test_snapshots_may_be_deleted_at_any_time(database: URL, sql: Sql) -> None:
    async with bank(database, snapshot_every=2) as it:
        await it.open("a")
        for number in range(1, 20):
            await it.deposit("a", 1)
            if number % 3 == 0:
                sql.execute("delete from amends.snapshots")
            assert await it.balance("a") == number


async def test_other_code_has_other_snapshots(database: URL, sql: Sql) -> None:
    async with bank(database, snapshot_every=5) as it:
        await it.open("a")
        await it.append("a", *[MoneyDeposited(1)] * 9)
        await it.balance("a")
        await it.loader.settle()
        sql.execute("update amends.snapshots set code = 'old', state = jsonb_set(state, '{balance}', '1000')")
        assert await it.balance("a") == 9
        await it.loader.settle()
        assert len(snapshots(sql)) == 2, "the old code may still run elsewhere"
        sql.execute("update amends.snapshots set taken_at = now() - interval '8 days' where code = 'old'")
        sql.execute("delete from amends.snapshots where code <> 'old'")
        await it.balance("a")
        await it.loader.settle()
        assert sql.execute("select count(*) from amends.snapshots where code = 'old'").fetchone() == (0,)


async def test_a_snapshot_that_cannot_be_read_is_not_used(database: URL, sql: Sql) -> None:
    async with bank(database, snapshot_every=5) as it:
        await it.open("a")
        await it.append("a", *[MoneyDeposited(1)] * 9)
        await it.balance("a")
        await it.loader.settle()
        sql.execute('update amends.snapshots set state = \'{"something": "else"}\'')
        assert await it.balance("a") == 9


async def test_a_state_that_does_not_come_back_as_it_went_in_is_not_kept(
    database_18: URL, caplog: pytest.LogCaptureFixture
) -> None:
    odd: Aggregate[Odd, Seen] = Aggregate("odd", Odd(0), seeing)
    async with bank(database_18, snapshot_every=2) as it:
        await it.events.append([new_business_event("odd-1", Seen(), Cause()) for _ in range(4)])
        state, version = await it.loader.load(odd, "odd-1")
        assert (state.count, version) == (4, 4)
        await it.loader.settle()
    assert "No snapshot of odd-1 is kept" in caplog.text


@pytest.mark.timeout(170)
def test_states_with_and_without_snapshots_are_the_same(postgres_18: EmbeddedPostgres) -> None:
    """Random histories, looked at between random appends, with snapshots taken after every single event or never."""
    url = fresh_database(postgres_18)
    numbers = iter(range(sys.maxsize))

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(every=st.integers(1, 4), history=st.lists(st.lists(st.integers(1, 9), max_size=5), max_size=8))
    def compare(every: int, history: list[list[int]]) -> None:
        asyncio.run(_compare(url, f"h{next(numbers)}", every, history))

    compare()
    with psycopg.connect(conninfo(url)) as sql:
        assert len(snapshots(sql)) > 5, "snapshots were taken"


async def _compare(url: URL, id: str, every: int, history: list[list[int]]) -> None:
    async with bank(url, snapshot_every=every) as it:
        await it.open(id)
        for amounts in history:
            await it.append(id, *map(MoneyDeposited, amounts))
            seen = await it.repository.load(accounts, id)
            await it.loader.settle()
            assert seen == await it.repository.load(accounts, id) == await _folded(it, id)


async def _folded(it: Bank, id: str) -> tuple[Account | None, int]:
    """The state without any snapshot."""
    stored = await it.events.read(accounts.stream(id), limit=10_000)
    return accounts.fold([load_event_json(accounts.vocabulary, each.type, each.data_json) for each in stored]), len(
        stored
    )


async def test_a_stream_of_many_pages_is_folded_whole(database_18: URL) -> None:
    async with bank(database_18, snapshot_every=sys.maxsize) as it:
        await it.open("a")
        for _ in range(5):
            await it.append("a", *[MoneyDeposited(1)] * (PAGE // 2))
        assert await it.balance("a") == 5 * (PAGE // 2)


async def test_a_long_stream_reads_no_more_events_than_a_short_one(database_18: URL) -> None:
    """What costs is reading events: of 20,000 as few are read as of 1,000, once a snapshot is there."""
    async with bank(database_18) as it:
        for id, count in (("short", 1_000), ("long", 20_000)):
            await it.open(id)
            for _ in range(count // 1_000):
                await it.append(id, *[MoneyDeposited(1)] * 1_000)
            await it.balance(id)
            await it.loader.settle()
        read = {id: await _events_read(it, id) for id in ("short", "long")}
        assert read["short"] == read["long"] == 0


async def _events_read(it: Bank, id: str) -> int:
    """How many events a load takes from the database."""
    counted = 0

    async def ask(statement: str, parameters: Mapping[str, Any]) -> list[TupleRow]:
        nonlocal counted
        rows = await it.store.reader.tuples(statement, parameters)
        counted += sum(row[1] is not None for row in rows)
        return rows

    await it.loader.load(accounts, accounts.stream(id), ask=ask)
    return counted
