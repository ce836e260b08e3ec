"""A read model is built anew beside the live one, compared, promoted and promoted back, while everything goes on."""

from __future__ import annotations

import asyncio

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.projections.comparison import compare_builds
from domain.amends.errors import Conflict
from tests.amends.store.harness.projections import NAME, Lit, Out, board, board_on, wide

Sql = psycopg.Connection


async def test_a_rebuilt_one_agrees_and_takes_over(database: URL) -> None:
    async with board_on(database) as it:
        await it.append("a", Lit(1), Lit(2))
        await it.append("b", Lit(2), Out())
        await it.follow()
        await it.rebuild()
        with pytest.raises(Conflict, match="rebuilt already"):
            await it.rebuild()
        with pytest.raises(Conflict, match="has not caught up"):
            await it.promote()
        await it.follow()
        found = await compare_builds(it.builds, it.store.reader, NAME)
        assert (found.rows, found.differing, found.moving) == (1, [], 0)
        assert (await it.promote()).state == "live"
        await it.append("a", Lit(5))
        await it.follow()
        assert await it.rows() == await it.expected()


async def test_differences_are_found_and_what_is_on_the_move_is_not_judged(database: URL, sql: Sql) -> None:
    async with board_on(database) as it:
        await it.append("a", Lit(1))
        await it.append("b", Lit(1))
        await it.rebuild()
        await it.follow()
        sql.execute("update views.lamp_board_2 set watts = 99 where lamp = 'a'")
        await it.append("b", Lit(1))
        await it.runner(1).catch_up()
        found = await compare_builds(it.builds, it.store.reader, NAME)
        assert [(each.key, (each.other or {})["watts"]) for each in found.differing] == [("a", 99)]
        assert found.moving == 1


async def test_tables_are_compared_page_by_page(database: URL, sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.amends.projections.comparison.ROWS", 4)
    async with board_on(database) as it:
        for number in range(20):
            await it.append(f"{number:02}", Lit(1))
        await it.rebuild()
        with pytest.raises(Conflict, match="still being filled"):
            await compare_builds(it.builds, it.store.reader, NAME)
        await it.follow()
        sql.execute("delete from views.lamp_board_1 where lamp < '05' or lamp = '19'")
        sql.execute("delete from views.lamp_board_2 where lamp between '03' and '10'")
        sql.execute("update views.lamp_board_2 set watts = 2 where lamp = '11'")
        seen: list[int] = []
        found = await compare_builds(it.builds, it.store.reader, NAME, seen=seen.append)
        only = {
            each.key: "one" if each.other is None else "other" if each.one is None else "" for each in found.differing
        }
        assert only == dict.fromkeys(("00", "01", "02", "19"), "other") | {
            f"{number:02}": "one" for number in range(5, 11)
        } | {"11": ""}
        assert (found.rows, seen) == (18, [4, 8, 12, 16, 18])


async def test_readers_never_see_less_while_it_is_rebuilt_and_promoted_under_load(database: URL) -> None:
    async with board_on(database) as it:
        written, stop = 0, asyncio.Event()

        async def write() -> None:
            nonlocal written
            while not stop.is_set():
                await it.append(str(written), Lit(1))
                written += 1

        async def read() -> None:
            least = 0
            while not stop.is_set():
                seen = len(await it.rows())
                assert seen >= least
                least = seen

        tasks = [asyncio.create_task(each) for each in (write(), read(), it.runner(1).run())]
        await it.rebuild()
        tasks.append(asyncio.create_task(it.runner(2).run()))
        async with asyncio.timeout(30):
            while (await it.build(2)).caught_up_at is None:
                await asyncio.sleep(0.01)
        for build in (2, 1, 2):
            await it.promote(build)
        stop.set()
        await asyncio.gather(*tasks[:2])
        for task in tasks[2:]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await it.follow()
        assert len(await it.rows()) == written
        assert (await compare_builds(it.builds, it.store.reader, NAME)).differing == []


async def test_one_that_was_stopped_goes_on_from_its_checkpoint(database: URL) -> None:
    async with board_on(database) as it:
        for number in range(30):
            await it.append(str(number % 5), Lit(1))
        await it.rebuild()
        runner = it.runner(2)
        await runner._take()
        await runner._begin()
        runner._limit = 10
        await runner._next_page()
        await runner._written()
        half = await it.build(2)
        assert (half.events, half.caught_up_at) == (10, None)
        await runner._give_back()
        await it.runner(2).catch_up()
        assert (await it.build(2)).events == 30, "nothing was read twice"
        assert (await compare_builds(it.builds, it.store.reader, NAME, 2, 1)).moving == 5


async def test_another_version_has_other_columns_and_the_same_readers(database: URL, sql: Sql) -> None:
    async with board_on(database, board) as it:
        await it.append("a", Lit(150))
        await it.follow()
        sql.execute("create role lamp_reader")
        try:
            sql.execute("grant usage on schema views to lamp_reader; grant select on views.lamp_board to lamp_reader")
            it.known[NAME, 2] = wide
            await it.rebuild()
            await it.follow()
            found = await compare_builds(it.builds, it.store.reader, NAME)
            assert (found.columns, found.differing) == (["lamp", "watts"], [])
            await it.promote()
            sql.execute("set role lamp_reader")
            assert sql.execute("select * from views.lamp_board").fetchall() == [("a", 150, True)]
            sql.execute("reset role")
            await it.append("a", Lit(1))
            await it.follow()
            await it.promote(1)
            assert sql.execute("select * from views.lamp_board").fetchall() == [("a", 151, 2, "lit")]
        finally:
            sql.execute("reset role; drop owned by lamp_reader; drop role lamp_reader")


async def test_a_view_that_others_stand_on_is_not_pulled_away(database: URL, sql: Sql) -> None:
    async with board_on(database, board) as it:
        sql.execute("create view public.mine as select lamp, note from views.lamp_board")
        it.known[NAME, 2] = wide
        await it.rebuild()
        await it.follow()
        with pytest.raises(Conflict, match="mine"):
            await it.promote()
        assert (await it.build(1)).state == "live", "nothing was half done"


async def test_what_is_live_is_not_dropped_and_what_is_dropped_is_gone(database: URL, sql: Sql) -> None:
    async with board_on(database) as it:
        with pytest.raises(Conflict, match="there are: none"):
            await it.drop()
        with pytest.raises(Conflict, match="is live"):
            await it.drop(1)
        await it.rebuild()
        assert await it.drop() == 2
        assert sql.execute("select to_regclass('views.lamp_board_2')").fetchone() == (None,)
        assert (await it.rebuild()).build == 2
