"""A read model is followed exactly once, by one runner, in tables that everybody can read."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import URL

from app.amends.postgres.embedded.server import EmbeddedPostgres
from domain.amends.vocabulary import NewerEvent
from tests.amends.harness.databases import fresh_database
from tests.amends.store.harness.projections import NAME, Board, Elsewhere, Lit, Out, board_on
from workflows.amends.ports.event_store import FeedCursor
from workflows.amends.ports.projection_builds import LeaseLost

Sql = psycopg.Connection


async def test_tables_are_real_and_the_view_shows_the_live_one(database: URL, sql: Sql) -> None:
    async with board_on(database) as it:
        await it.append("a", Lit(40))
        await it.follow()
        assert sql.execute("select lamp, watts, times, note from views.lamp_board").fetchall() == [("a", 40, 1, "lit")]
        types = sql.execute(
            "select column_name, data_type, is_nullable from information_schema.columns"
            " where table_schema = 'views' and table_name = 'lamp_board_1' order by ordinal_position"
        )
        assert types.fetchall() == [
            ("lamp", "text", "NO"), ("watts", "bigint", "NO"), ("times", "bigint", "NO"), ("note", "text", "NO"),
        ]  # fmt: skip
        indexes = sql.execute("select indexdef from pg_indexes where schemaname = 'views'").fetchall()
        assert any("(watts)" in definition for (definition,) in indexes)


async def test_the_service_may_neither_make_nor_drop_tables_by_itself(database: URL) -> None:
    async with board_on(database) as it, it.store.reader.pool.connection() as connection:
        for forbidden in (
            "drop table views.lamp_board_1",
            "create table views.mine (n int)",
            "drop view views.lamp_board",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(forbidden.encode())
        for name, column in (("lamp; drop", "text"), ("lamp_board_7", "text"), ("fine", "text; drop table x")):
            columns = f'[{{"name": "k", "type": "{column}", "nullable": false}}]'
            call = "select amends.open_build(%s, 1, 'k', %s::jsonb, '[]', '{}', false, true)"
            with pytest.raises(psycopg.errors.InvalidName):
                await connection.execute(call, (name, columns))


async def test_rows_are_what_the_events_add_up_to_and_go_when_they_are_gone(database: URL) -> None:
    async with board_on(database) as it:
        await it.append("a", Lit(1), Lit(2))
        await it.append("b", Lit(5), Out())
        await it.follow()
        assert await it.rows() == await it.expected() == {"a": {"lamp": "a", "watts": 3, "times": 2, "note": "lit"}}
        await it.append("a", Out(), Lit(7))
        await it.follow()
        assert await it.rows() == await it.expected()
        assert (await it.build()).events == 6


moves = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from([Lit(1), Lit(2), Out(), Elsewhere()])), min_size=1, max_size=25
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=moves, sizes=st.lists(st.integers(1, 7), min_size=1, max_size=4))
def test_batches_and_rests_of_any_size_give_the_same_rows(
    postgres_18: EmbeddedPostgres, history: list[tuple[str, Any]], sizes: list[int]
) -> None:
    async def play() -> None:
        async with board_on(fresh_database(postgres_18)) as it:
            for number, (id, told) in enumerate(history):
                await it.append(id, told)
                if number % sizes[0] == 0:
                    runner = it.runner()
                    runner._limit = sizes[number % len(sizes)]
                    await runner.catch_up()
            await it.follow()
            assert await it.rows() == await it.expected()
            assert (await it.build()).events == sum(not isinstance(told, Elsewhere) for _, told in history)

    asyncio.run(play())


async def test_events_of_others_move_it_on_without_being_written_each(database: URL) -> None:
    async with board_on(database) as it:
        await it.append("a", Lit(1))
        await it.follow()
        there = await it.append("z", Elsewhere())
        assert await it.views.wait_for(NAME, there, 5.0), "nothing that it reads lies between"
        assert (await it.builds.store.lag(await it.build())).events == 0
        cursor = await it.append("a", Lit(1))
        assert not await it.views.wait_for(NAME, cursor, 0.05)
        assert (await it.builds.store.lag(await it.build())).events == 1
        await it.follow()
        assert await it.views.wait_for(NAME, cursor, 5.0)
        assert not await it.views.wait_for(NAME, FeedCursor(1, 10**15, 10**15), 0.05), (
            "what is still to come is not there"
        )


async def test_one_runner_at_a_time(database: URL, sql: Sql) -> None:
    async with board_on(database) as it:
        await it.append("a", Lit(1))
        first, second = it.runner(), it.runner()
        task = asyncio.create_task(first.run())
        await until(it, 1)
        await second.run()  # returns at once: it is followed already
        with pytest.raises(LeaseLost):
            await second.catch_up()
        sql.execute("insert into amends.executors (id, machine, pid, born, kinds, lease_until, ended_at)"
                    " values ('test', 'm', 1, 1, '{}', now(), now())")  # fmt: skip
        await second.catch_up()  # the executor of the first was ended
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(it: Board, events: int) -> None:
    async with asyncio.timeout(20):
        while (await it.build()).events < events:
            await asyncio.sleep(0.01)


async def test_one_that_was_paused_writes_nothing_when_it_wakes(database: URL, sql: Sql) -> None:
    async with board_on(database) as it:
        await it.append("a", Lit(1))
        paused = it.runner()
        await paused._take()
        await paused._begin()
        sql.execute("update amends.builds set lease_until = now() - interval '1 s'")
        await it.runner().catch_up()
        sql.execute("update amends.builds set runner = %s", (paused._token,))  # even with its lease back
        with pytest.raises(LeaseLost):
            await paused._next_page()
        assert await it.rows() == await it.expected()
        assert (await it.build()).events == 1


async def test_a_runner_whose_lease_was_taken_stops(database: URL, sql: Sql) -> None:
    async with board_on(database) as it:
        task = asyncio.create_task(it.runner().run())
        await it.append("a", Lit(1))
        await until(it, 1)
        sql.execute("update amends.builds set runner = 'another', lease_until = now() + interval '1 h'")
        await it.append("a", Lit(1))
        async with asyncio.timeout(20):
            await task
        assert (await it.build()).events == 1
        assert (await it.build()).runner == "another", "it gave back nothing that was not its own"


async def test_newer_events_are_left_to_newer_code(database: URL, sql: Sql) -> None:
    async with board_on(database) as it:
        await it.append("a", Lit(1))
        sql.execute("""select amends.insert_events(jsonb_build_array(jsonb_build_object('id', gen_random_uuid(),
            'stream', 'lamp-a', 'type', 'bench-lamp-lit', 'schema_version', 2, 'data', '{}'::jsonb,
            'metadata', '{}'::jsonb)))""")
        with pytest.raises(NewerEvent):
            await it.runner().run()
        build = await it.build()
        assert build.runner is None
        assert "newer code" in (build.failure or "")
        assert await it.dead_letters() == []
