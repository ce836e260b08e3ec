"""Time travel: what was the state at a version, at a place in the feed, or at an instant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.store.aggregates.difference import Change, differences
from app.amends.store.aggregates.time_travel import PointInTime
from domain.amends.errors import Invalid, NotFound
from tests.amends.business.account import accounts
from tests.amends.store.harness.accounts import Bank, bank

Sql = psycopg.Connection
AMOUNTS = (1, 10, 100)


async def account(it: Bank) -> None:
    """Four versions, with other accounts' events in between."""
    await it.open("a")
    await it.open("b")
    for amount in AMOUNTS:
        await it.deposit("a", amount)
        await it.deposit("b", amount)


async def balance(it: Bank, point: PointInTime) -> Any:
    found = await it.history.state(accounts, "account-a", point)
    return found.version, found.state["balance"]


async def test_a_state_at_a_version(database: URL) -> None:
    async with bank(database) as it:
        await account(it)
        assert [await balance(it, PointInTime(version)) for version in (1, 2, 3, 4)] == [
            (1, 0),
            (2, 1),
            (3, 11),
            (4, 111),
        ]
        assert await balance(it, PointInTime()) == (4, 111)


async def test_a_state_at_a_position_or_a_token(database: URL) -> None:
    async with bank(database) as it:
        await account(it)
        everything = await it.events.feed()
        for event in everything:
            mine = [other for other in everything if other.stream == "account-a" and other.cursor <= event.cursor]
            assert await balance(it, PointInTime(position=str(event.cursor))) == await balance(
                it, PointInTime(len(mine))
            )
            assert await balance(it, PointInTime(position=str(event.position))) == await balance(
                it, PointInTime(len(mine))
            )


async def test_a_position_between_events_counts_those_before_it(database: URL, sql: Sql) -> None:
    async with bank(database) as it:
        await it.open("a")
        sql.execute("select nextval(pg_get_serial_sequence('amends.events', 'position')) from generate_series(1, 10)")
        await it.deposit("a", 1)
        last = (await it.events.feed())[-1]
        assert await balance(it, PointInTime(position=str(last.position - 1))) == (1, 0)
        assert await balance(it, PointInTime(position="999999")) == (2, 1)


async def test_a_state_at_an_instant_is_of_the_highest_version_recorded_by_then(database: URL) -> None:
    async with bank(database) as it:
        await account(it)
        for event in await it.events.read("account-a"):
            assert (await balance(it, PointInTime(at=event.recorded_at)))[0] == event.version
            just_before = PointInTime(at=event.recorded_at - timedelta(microseconds=1))
            if event.version > 1:
                assert (await balance(it, just_before))[0] == event.version - 1
        elsewhere = datetime.now(timezone(timedelta(hours=9)))
        assert await balance(it, PointInTime(at=elsewhere)) == (4, 111)


async def test_before_its_first_event_a_stream_has_no_state(database: URL) -> None:
    async with bank(database) as it:
        await account(it)
        first = (await it.events.read("account-b"))[0]
        long_ago = PointInTime(at=datetime(2000, 1, 1, tzinfo=UTC))
        for stream, point in [
            ("account-a", long_ago),
            ("account-a", PointInTime(version=0)),
            ("account-b", PointInTime(position=str(first.position - 1))),
            ("account-nobody", PointInTime()),
        ]:
            with pytest.raises(NotFound):
                await it.history.state(accounts, stream, point)


async def test_a_version_that_is_not_reached_yet_is_not_guessed(database: URL) -> None:
    async with bank(database) as it:
        await it.open("a")
        with pytest.raises(NotFound, match="It is at version 1"):
            await it.history.state(accounts, "account-a", PointInTime(version=2))


async def test_the_past_is_the_same_after_a_snapshot_was_taken(database: URL, sql: Sql) -> None:
    async with bank(database, snapshot_every=3) as it:
        await account(it)
        await it.balance("a")
        await it.loader.settle()
        assert sql.execute("select version from amends.snapshots where stream = 'account-a'").fetchall() == [(3,)]
        assert [await balance(it, PointInTime(version)) for version in (1, 2, 3, 4)] == [
            (1, 0),
            (2, 1),
            (3, 11),
            (4, 111),
        ]


async def test_the_difference_between_two_points(database: URL) -> None:
    async with bank(database) as it:
        await account(it)
        before, after, changes = await it.history.difference(accounts, "account-a", PointInTime(2), PointInTime())
        assert before is not None
        assert (before.version, after.version) == (2, 4)
        assert changes == [Change("/balance", 1, 111)]
        none, _, all_of_it = await it.history.difference(accounts, "account-a", PointInTime(0), PointInTime(1))
        assert none is None
        assert [change.path for change in all_of_it] == [""]


async def test_points_at_the_borders(database_18: URL) -> None:
    async with bank(database_18) as it:
        await it.open("a")
        for late in (
            PointInTime(at=datetime.max.replace(tzinfo=UTC)),
            PointInTime(position="9" * 18),
            PointInTime(position="9-9-9"),
        ):
            assert await balance(it, late) == (1, 0)
        early = datetime.min.replace(tzinfo=timezone(timedelta(hours=14)))
        for before in (
            PointInTime(0),
            PointInTime(position="0"),
            PointInTime(position="0-0-0"),
            PointInTime(at=early),
            PointInTime(10**30),
        ):
            with pytest.raises(NotFound):
                await balance(it, before)
        for position in ("-1", "9" * 19, "1.5", "", "x", "1-1"):
            with pytest.raises(Invalid, match=r"^position: "):
                await balance(it, PointInTime(position=position))


@pytest.mark.parametrize("version", [-1, True, 1.5, "1"])
def test_what_is_no_version_is_no_point(version: Any) -> None:
    with pytest.raises(Invalid, match=r"^version: must be a whole number"):
        PointInTime(version=version)


def test_two_points_at_once_are_refused() -> None:
    with pytest.raises(Invalid, match="cannot be asked for together with version"):
        PointInTime(version=1, position="3")


def test_an_instant_without_an_offset_is_refused() -> None:
    with pytest.raises(Invalid, match="offset from UTC"):
        PointInTime(at=datetime(2026, 1, 1))


def test_differences_are_named_by_their_paths() -> None:
    before = {"a": 1, "b": {"c": [1, 2], "d/e": 0}, "gone": True, "same": [{}]}
    after = {"a": 1, "b": {"c": [1, 3, 4], "d/e": 5}, "new~": None, "same": [{}]}
    assert list(differences(before, after)) == [
        Change("/b/c/1", 2, 3),
        Change("/b/c/2", None, 4),
        Change("/b/d~1e", 0, 5),
        Change("/gone", True, None),
    ]
