"""A table that is not what its code writes stops that read model only, and says what to do."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any, Literal

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.projections.reporting import read_model_report
from app.amends.projections.row_queries import ReadModelQueries
from app.amends.projections.runners import Runners
from app.amends.store.feed.notifier import FeedNotifier
from domain.amends.errors import Conflict
from domain.amends.event import Cause
from domain.amends.projection import Projection, Recorded
from tests.amends.store.harness.projections import NAME, Board, Lit, Out, board, board_on, lamps, runner_of
from workflows.amends.background import cancel_tasks
from workflows.amends.projections.table_check import TableChanged

Sql = psycopg.Connection
ALTERED = {
    "a column renamed": ("rename watts to volts", "rename volts to watts", "column watts is missing"),
    "another type": ("alter watts type text", "alter watts type bigint using watts::bigint", "column watts is text"),
    "a null": ("alter note drop not null", "alter note set not null", "column note may be null in the table"),
    "a column too many": (
        "add more int not null default 1; alter table views.lamp_board_1 alter more drop default",
        "drop more", "column more is in the table",
    ),
    "no key": ("drop constraint lamp_board_1_pkey", "add primary key (lamp)", "column lamp has no primary key"),
    "its name": ("rename to elsewhere", "", "views.lamp_board_1 is missing"),
}  # fmt: skip
HARMLESS = [
    "alter table views.lamp_board_1 add more int",
    "alter table views.lamp_board_1 add more int not null default 7",
    "alter table views.lamp_board_1 add more bigint generated always as (watts * 2) stored",
    "alter table views.lamp_board_1 add more int generated always as identity",
    "create index more on views.lamp_board_1 (note, times)",
    "alter table views.lamp_board_1 set (autovacuum_enabled = false)",
]


@dataclass(frozen=True)
class Plain:
    lamp: str
    watts: int


def plainly(row: Plain | None, told: Recorded[Lit]) -> Plain | None:
    return Plain(told.key, told.event.watts)


other = Projection("other_board", version=1, of=lamps, evolve=plainly, key="lamp")


async def failing(it: Board) -> str:
    with pytest.raises(TableChanged) as changed:
        await runner_of(it, it.known[NAME, 1]).catch_up()
    assert (await it.build()).failure == str(changed.value)
    (shown,) = await read_model_report(it.builds, NAME)
    assert (shown["status"], shown["failure"]) == ("failing", str(changed.value))
    return str(changed.value)


@pytest.mark.parametrize("how", ALTERED)
async def test_a_table_that_was_changed_by_hand_is_told_and_goes_on_once_it_is_changed_back(
    database: URL, sql: Sql, how: str
) -> None:
    change, back, told = ALTERED[how]
    async with board_on(database, board, other) as it:
        await it.append("a", Lit(1))
        await it.follow()
        sql.execute(f"drop view views.lamp_board; alter table views.lamp_board_1 {change}".encode())
        await it.append("a", Lit(2))
        (before, _) = await read_model_report(it.builds)
        assert before["status"] == "failing", "told before anybody has tried"
        said = await failing(it)
        assert told in said
        assert "./run amends projections rebuild lamp_board" in said
        await runner_of(it, other).catch_up()
        assert await it.views.row("other_board", "a") == {"lamp": "a", "watts": 2}, "others go on"
        where = "elsewhere" if how == "its name" else "lamp_board_1"
        sql.execute(f"alter table views.{where} {back or 'rename to lamp_board_1'}".encode())
        await it.follow()
        assert await it.rows() == await it.expected(), "and its view is back"
        assert (await it.build()).failure is None


@pytest.mark.parametrize("change", HARMLESS)
async def test_what_others_add_to_a_table_is_left_alone(database: URL, sql: Sql, change: str) -> None:
    async with board_on(database) as it:
        await it.append("a", Lit(1))
        await it.follow()
        sql.execute(change.encode())
        await it.append("a", Lit(2))
        await it.append("b", Lit(2))
        await it.follow()
        assert await it.rows() == await it.expected()


async def test_an_index_that_is_missing_and_a_right_that_is_lacking_are_told(database: URL, sql: Sql) -> None:
    async with board_on(database) as it:
        sql.execute("drop index views.lamp_board_1_watts_idx")
        assert "the index on column watts is missing" in await failing(it)
        sql.execute("create index on views.lamp_board_1 (watts)")
        sql.execute("revoke insert, delete on views.lamp_board_1 from amends_service")
        assert "grant insert, delete on views.lamp_board_1 to amends_service" in await failing(it)


@dataclass(frozen=True)
class Longer:
    lamp: str
    watts: int
    times: int
    note: str
    more: int = 0


@dataclass(frozen=True)
class Shorter:
    lamp: str
    watts: int
    times: int


@dataclass(frozen=True)
class Typed:
    lamp: str
    watts: float
    times: int
    note: str | None


def longer(row: Longer | None, told: Recorded[Lit | Out]) -> Longer | None:
    return Longer(told.key, 1, 1, "")


def shorter(row: Shorter | None, told: Recorded[Lit | Out]) -> Shorter | None:
    return Shorter(told.key, 1, 1)


def typed(row: Typed | None, told: Recorded[Lit | Out]) -> Typed | None:
    return Typed(told.key, 1.5, 1, None)


@pytest.mark.parametrize(
    ("evolve", "told"),
    [
        (longer, ["column more is missing in the table"]),
        (shorter, ["column note is in the table and not in the code"]),
        (typed, ["column watts is bigint in the table and double precision in the code",
                 "column note is not null in the table, and may be null in the code"]),
    ],
    ids=["longer", "shorter", "typed"],
)  # fmt: skip
async def test_code_that_was_changed_without_a_new_version_waits_and_old_servers_go_on(
    database: URL, evolve: Any, told: list[str]
) -> None:
    async with board_on(database) as it:
        await it.append("a", Lit(1))
        changed = Projection(NAME, version=1, of=lamps, evolve=evolve, key="lamp")
        following = asyncio.create_task(it.runner().run())
        async with asyncio.timeout(20):
            while (await it.build()).caught_up_at is None:
                await asyncio.sleep(0.01)
        with pytest.raises(TableChanged):
            await runner_of(it, changed).run()
        assert (await it.build()).failure is None, "who has the old code follows, and is not disturbed"
        await cancel_tasks(following)
        old = dict(it.known)
        it.known[NAME, 1] = changed
        said = await failing(it)
        assert all(each in said for each in told)
        assert "raise its version to 2, and ./run amends projections rebuild lamp_board" in said
        it.known[NAME, 1] = old[NAME, 1]
        await it.follow()
        assert (await it.build()).failure is None
        it.known[NAME, 2] = replace(changed, version=2)
        await it.rebuild()
        await it.follow()
        await it.promote()
        assert set(await it.rows()) == {"a"}


async def test_a_table_that_is_lost_while_it_is_followed_is_noticed_and_said_once(
    database: URL, sql: Sql, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("workflows.amends.projections.runner.RENEW_SECONDS", 0.0)
    monkeypatch.setattr("workflows.amends.projections.runner.LOOK_SECONDS", 0.01)
    monkeypatch.setattr("app.amends.projections.runners.PAUSE_SECONDS", 0.0)
    monkeypatch.setattr("app.amends.projections.runners.LOOK_SECONDS", 0.01)
    async with board_on(database, board, other) as it:
        store = it.store
        runners = Runners(it.builds, FeedNotifier(store.reader), lambda: "test")
        await it.append("a", Lit(1))
        await runners.start()
        try:
            async with asyncio.timeout(60):
                while not await it.rows():
                    await asyncio.sleep(0.01)
                sql.execute("alter table views.lamp_board_1 rename to elsewhere")
                while not (await it.build()).failure:
                    await asyncio.sleep(0.01)
                for watts in range(20):
                    await it.append("a", Lit(watts))
                    while (await it.views.row("other_board", "a") or {}).get("watts") != watts:
                        await asyncio.sleep(0.01)
                told = [each.getMessage() for each in caplog.records if "is not followed" in each.getMessage()]
                assert len(told) == 1
                sql.execute("alter table views.elsewhere rename to lamp_board_1")
                while await it.rows() != await it.expected() or (await it.build()).failure:
                    await asyncio.sleep(0.01)
                assert (await read_model_report(it.builds, NAME))[0]["status"] == "following"
        finally:
            await runners.stop()


Said = Literal["lit"]


@dataclass(frozen=True)
class Strict:
    lamp: str
    watts: int
    note: Said


def strictly(row: Strict | None, told: Recorded[Lit]) -> Strict | None:
    return Strict(told.key, told.event.watts + (row.watts if row else 0), "lit")


strict = Projection("strict_board", version=1, of=lamps, evolve=strictly, key="lamp")


async def test_a_row_that_does_not_read_back_keeps_only_its_key_back(database: URL, sql: Sql) -> None:
    async with board_on(database, strict) as it:
        for id in "abcde":
            await it.append(id, Lit(1))
        await runner_of(it, strict).catch_up()
        sql.execute("update views.strict_board_1 set note = 'loud' where lamp in ('b', 'd')")
        for id in "abcde":
            await it.append(id, Lit(1))
        await runner_of(it, strict).catch_up()
        aside = await it.dead_letters()
        assert sorted(each.key for each in aside) == ["b", "d"]
        assert "views.strict_board_1 does not read back: note" in aside[0].error
        assert [(await it.views.row("strict_board", id) or {})["watts"] for id in "abcde"] == [2, 1, 2, 1, 2]
        sql.execute("update views.strict_board_1 set note = 'lit'")
        for each in aside:
            await it.administration.request_action("strict_board", each.key, "retry", "mended", Cause())
        runner = runner_of(it, strict)
        runner.action_requested = True
        await runner.catch_up()
        assert [(await it.views.row("strict_board", id) or {})["watts"] for id in "abcde"] == [2] * 5
        assert await it.dead_letters() == []


async def test_a_read_model_that_cannot_be_given_a_table_keeps_no_other_from_its_own(database: URL, sql: Sql) -> None:
    sql.execute("create table views.lamp_board (n int)")
    async with board_on(database, board, other) as it:
        assert {each.name for each in await it.builds.all()} == {"other_board"}
        builds = it.builds
        await builds.create_first_builds()
        (shown,) = await read_model_report(builds, NAME)
        assert shown["status"] == "failing"
        assert "lamp_board" in shown["failure"]
        with pytest.raises(Conflict, match="cannot be given one now"):
            await ReadModelQueries(builds, it.events).rows(NAME, {}, None, 10)
        with pytest.raises(Conflict, match="is no read model"):
            await it.administration.rebuild(NAME, Cause())
        (elsewhere,) = await read_model_report(it.builds, NAME)
        assert elsewhere["status"] == "failing", "also for a process that makes no tables"
        assert "is there already" in elsewhere["failure"]
        sql.execute("drop table views.lamp_board")
        await builds.create_first_builds()
        assert (await it.build()).state == "live"
