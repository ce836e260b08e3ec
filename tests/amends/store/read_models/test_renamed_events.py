"""Which events a read model reads is one set of names, old ones included: followed, waited for and counted alike."""

from __future__ import annotations

from dataclasses import dataclass, replace

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.projections.comparison import compare_builds
from domain.amends.aggregate import Aggregate
from domain.amends.event import Payload, event, upcasts
from domain.amends.projection import Mode, Projection, Recorded
from tests.amends.store.harness.projections import NAME, Elsewhere, board_on
from workflows.amends.projections.feed import NewerReader


@event("bulb-lit")
class Before:
    watts: int


@event("bulb-switched-on", version=2)
class After:
    """The same under its new name, and in a new shape."""

    watts: int
    by: str


@upcasts(After, 1, name="bulb-lit", to=("bulb-switched-on", 1))
def _rename(data: Payload) -> Payload:
    return data


@upcasts(After, 1)
def _by_nobody(data: Payload) -> Payload:
    return data | {"by": "nobody"}


@dataclass(frozen=True)
class Bulb:
    lamp: str
    watts: int


def count(total: int, event: Before | After | Elsewhere) -> int:
    return total + 1


lamps = Aggregate("lamp", initial=0, evolve=count)


def before(row: Bulb | None, told: Recorded[Before]) -> Bulb | None:
    return Bulb(told.key, told.event.watts + (row.watts if row else 0))


def after(row: Bulb | None, told: Recorded[After]) -> Bulb | None:
    return Bulb(told.key, told.event.watts + (row.watts if row else 0))


OLD = Projection(NAME, version=1, of=lamps, evolve=before, key="lamp")
NEW = Projection(NAME, version=1, of=lamps, evolve=after, key="lamp")


@pytest.mark.parametrize("mode", ["async", "inline"])
async def test_a_read_model_waits_for_an_event_by_whichever_name_it_is_stored(database: URL, mode: Mode) -> None:
    """Its table was made when the event had its old name, and is followed by code that knows the new one."""
    async with board_on(database, replace(OLD, mode=mode)) as it:
        await it.append("a", Before(1))
        await it.follow()
    async with board_on(database, replace(NEW, mode=mode)) as it:
        assert (await it.build()).types == ["bulb-lit", "bulb-switched-on"]
        for told in (After(2, "Ann"), Before(4)):
            cursor = await it.append("a", told)
            await it.append("a", Elsewhere())
            assert (await it.builds.store.lag(await it.build())).events == 1
            assert not await it.views.wait_for(NAME, cursor, 0.05)
            await it.follow()
            assert await it.views.wait_for(NAME, cursor, 10)
            assert (await it.builds.store.lag(await it.build())).events == 0
        assert await it.rows() == {"a": {"lamp": "a", "watts": 7}}


async def test_a_table_of_an_older_version_is_behind_once_its_event_is_stored_by_another_name(database: URL) -> None:
    """Nobody follows it any more, so it does not show what was written: who waits for that is told so."""
    async with board_on(database, OLD) as it:
        await it.append("a", Before(1))
        await it.follow()
    async with board_on(database, replace(NEW, version=2)) as it:
        cursor = await it.append("a", After(2, "Ann"))
        assert not await it.views.wait_for(NAME, cursor, 0.05)
        assert (await it.builds.store.lag(await it.build())).events == 1


async def test_a_live_read_model_reads_both_names(database: URL) -> None:
    async with board_on(database, replace(NEW, mode="live")) as it:
        await it.append("a", Before(1), After(2, "Ann"))
        assert await it.views.row(NAME, "a") == {"lamp": "a", "watts": 3}


async def test_a_rebuilt_table_reads_both_names_and_is_compared_by_both(database: URL) -> None:
    async with board_on(database, OLD) as it:
        await it.append("a", Before(1))
        await it.follow()
    async with board_on(database, NEW) as it:
        await it.append("a", After(2, "Ann"))
        await it.rebuild()
        await it.follow()
        found = await compare_builds(it.builds, it.store.reader, NAME)
        assert (found.differing, found.rows) == ([], 1)
        await it.append("b", After(4, "Ann"))
        await it.runner(1).catch_up()
        assert (await compare_builds(it.builds, it.store.reader, NAME)).moving == 1


async def test_old_code_does_not_pass_over_events_by_a_name_that_only_newer_code_knows(database: URL) -> None:
    """In a rolling deploy an older server may follow the table while a newer one appends by the new name."""
    async with board_on(database, OLD) as old:
        await old.append("a", Before(1))
        await old.follow()
        async with board_on(database, NEW) as new:
            await new.append("a", After(2, "Ann"))
            with pytest.raises(NewerReader, match="reads bulb-switched-on, which this code does not know"):
                await old.runner().catch_up()
            with pytest.raises(NewerReader):
                await old.runner().run()
            assert "bulb-switched-on" in str((await old.build()).failure)
            await new.follow()
            assert await new.rows() == {"a": {"lamp": "a", "watts": 3}}


async def test_a_name_that_newer_code_noted_is_not_forgotten_by_older_code(
    database: URL, sql: psycopg.Connection
) -> None:
    async with board_on(database, NEW), board_on(database, OLD):
        types = sql.execute("select types from amends.builds where name = %s", (NAME,)).fetchone()
        assert types == (["bulb-lit", "bulb-switched-on"],)
