"""An event that does not fit sets aside its own key and nothing else, until somebody brings it on."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.urls import conninfo
from domain.amends.errors import NotFound
from domain.amends.event import Cause
from domain.amends.projection import Projection, Recorded
from tests.amends.store.harness.projections import NAME, Board, Lamp, Lit, Out, board_on, broken, lamps, runner_of
from workflows.amends.background import cancel_tasks
from workflows.amends.projections.row_cache import RowCache
from workflows.amends.projections.writer import PageCommit

Sql = psycopg.Connection
ANN = Cause(actor="ann")


async def watts(it: Board) -> dict[str, int]:
    return {key: row["watts"] for key, row in (await it.rows()).items()}


async def wish(it: Board, key: str, what: str) -> None:
    await it.administration.request_action(NAME, key, what, "because", ANN)  # type: ignore[arg-type]
    runner = it.runner()
    await runner._take()
    await runner._begin()
    await runner._perform_requested()
    await runner._give_back()


async def test_its_key_waits_and_all_others_go_on(database: URL) -> None:
    async with board_on(database) as it:
        broken.add(13)
        await it.append("a", Lit(1), Lit(13), Lit(2))
        await it.append("b", Lit(5))
        await it.follow()
        await it.append("a", Out())
        await it.append("b", Lit(5))
        await it.follow()
        assert await watts(it) == {"a": 1, "b": 10}
        (aside,) = await it.dead_letters()
        assert (aside.key, aside.type, aside.version, aside.waiting) == ("a", "bench-lamp-lit", 2, 2)
        assert aside.error == "ValueError: 13 watts cannot be"
        assert (await it.build()).set_aside == 1


async def test_after_a_fix_a_retry_applies_all_that_waits_in_order(database: URL) -> None:
    async with board_on(database) as it:
        broken.add(13)
        await it.append("a", Lit(1), Lit(13), Out(), Lit(2))
        await it.follow()
        await wish(it, "a", "retry")
        (aside,) = await it.dead_letters()
        assert (aside.requested_action, aside.waiting) == (None, 2), "nothing was mended: it waits as before"
        broken.clear()
        await wish(it, "a", "retry")
        assert await it.dead_letters() == []
        await it.append("a", Lit(3))
        await it.follow()
        assert await it.rows() == await it.expected()
        assert (await it.build()).events == 5


async def test_what_a_person_wants_is_done_while_there_are_always_more_events(database: URL) -> None:
    async with board_on(database, connections=8) as it:
        broken.add(13)
        await it.append("a", Lit(13))
        await it.follow()
        broken.clear()
        await it.administration.request_action(NAME, "a", "retry", "because", ANN)
        writers = [asyncio.create_task(keep_writing(it, f"w-{number}")) for number in range(6)]
        runner = it.runner()
        runner.action_requested = True
        following = asyncio.create_task(runner.run())
        try:
            async with asyncio.timeout(30):
                while await it.dead_letters():
                    await asyncio.sleep(0.05)
        finally:
            await cancel_tasks(following, *writers)


async def keep_writing(it: Board, key: str) -> None:
    while True:
        await it.append(key, Lit(1))


async def test_a_skip_leaves_out_that_one_event_only(database: URL) -> None:
    async with board_on(database) as it:
        broken.update((13, 14))
        await it.append("a", Lit(1), Lit(13), Lit(2), Lit(14), Lit(4))
        await it.follow()
        await wish(it, "a", "skip")
        (aside,) = await it.dead_letters()
        assert (aside.version, aside.waiting) == (4, 1), "it went on to the next that does not fit"
        assert await watts(it) == {"a": 3}
        await wish(it, "a", "skip")
        assert await watts(it) == {"a": 7}
        told = await it.events.read(f"projection-{NAME}")
        assert [(event.name, event.data["reason"], event.metadata["actor"]) for event in told] == [
            ("set-aside-skipped", "because", "ann")
        ] * 2


@dataclass(frozen=True)
class Total:
    note: str
    watts: int


def total(row: Total | None, told: Recorded[Lit]) -> Total:
    return Total("all", told.event.watts + (row.watts if row else 0))


def by_lamp(row: Lamp | None, told: Recorded[Lit]) -> Lamp:
    if told.event.watts in broken:
        raise ValueError(f"{told.event.watts} watts cannot be")
    return Lamp(told.key, told.event.watts + (row.watts if row else 0), 1)


first_totals = Projection("totals", version=1, of=lamps, evolve=by_lamp, key="lamp")
totals = Projection("totals", version=2, of=lamps, evolve=total, key="note", key_of=lambda told: "all")


async def test_what_was_skipped_stays_skipped_where_it_has_another_key(database: URL) -> None:
    async with board_on(database, first_totals) as it:
        broken.add(13)
        await it.append("a", Lit(1), Lit(13), Lit(2))
        await runner_of(it, first_totals).catch_up()
        await it.administration.request_action("totals", "a", "skip", "because", ANN)
        runner = runner_of(it, first_totals)
        runner.action_requested = True
        await runner.catch_up()
        it.known["totals", 2] = totals
        await it.administration.rebuild("totals", ANN)
        await runner_of(it, totals, 2).catch_up()
        await it.administration.promote("totals", 2, ANN)
        assert await it.views.row("totals", "all") == {"note": "all", "watts": 3}


HUGE, NULL = Lit(2**62), Lit(1, None)


@pytest.mark.parametrize(("told", "watts_left"), [((HUGE, HUGE), 3 + 2**62), ((Lit(1), NULL), 4)], ids=["huge", "null"])
async def test_a_row_that_the_table_does_not_take_is_found_event_by_event(
    database: URL, told: tuple[Lit, Lit], watts_left: int
) -> None:
    async with board_on(database) as it:
        await it.append("b", Lit(1))
        await it.append("a", Lit(3), *told, Lit(4))
        await it.append("c", Lit(7))
        await it.follow()
        assert await watts(it) == {"a": watts_left, "b": 1, "c": 7}, "all before it is in, and all others"
        (aside,) = await it.dead_letters()
        assert (aside.key, aside.version, aside.waiting) == ("a", 3, 1)


async def test_what_cannot_be_read_waits_under_the_key_of_its_stream(database: URL, sql: Sql) -> None:
    async with board_on(database) as it:
        await it.append("a", Lit(1))
        sql.execute("""select amends.insert_events(jsonb_build_array(jsonb_build_object('id', gen_random_uuid(),
            'stream', 'lamp-a', 'type', 'bench-lamp-lit', 'schema_version', 1, 'data', '{"watts": "many"}'::jsonb,
            'metadata', '{}'::jsonb)))""")
        await it.append("b", Lit(2))
        await it.follow()
        assert await watts(it) == {"a": 1, "b": 2}
        (aside,) = await it.dead_letters()
        assert "does not fit Lit" in aside.error


async def test_what_is_not_set_aside_cannot_be_brought_on(database: URL) -> None:
    async with board_on(database) as it:
        with pytest.raises(NotFound, match="lamp_board a"):
            await it.administration.request_action(NAME, "a", "retry", "x", ANN)


async def test_a_key_that_a_runner_is_at_can_be_skipped_all_the_same(database: URL, sql: Sql) -> None:
    async with board_on(database) as it:
        broken.add(13)
        await it.append("a", Lit(13))
        await it.follow()
        with psycopg.connect(conninfo(database)) as runner:  # a retry that comes to nothing, as it commits
            runner.execute(
                "create temporary table before on commit drop as select position from amends.set_aside_events"
            )
            runner.execute("delete from amends.set_aside")
            runner.execute(
                "insert into amends.set_aside (name, build, key, error) values (%s, 1, 'a', 'again')", (NAME,)
            )
            runner.execute("insert into amends.set_aside_events select %s, 1, 'a', position from before", (NAME,))
            skipping = asyncio.create_task(it.administration.request_action(NAME, "a", "skip", "because", ANN))
            waits = "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
            async with asyncio.timeout(20):
                while sql.execute(waits).fetchone() is None:
                    await asyncio.sleep(0.01)
        await skipping
        (aside,) = await it.dead_letters()
        assert (aside.requested_action, aside.error) == ("skip", "again")


async def test_what_is_wished_while_a_runner_is_at_something_else_is_not_lost(database: URL) -> None:
    async with board_on(database) as it:
        broken.add(13)
        await it.append("a", Lit(13), Lit(13))
        await it.follow()
        await it.administration.request_action(NAME, "a", "retry", "perhaps", ANN)
        runner = it.runner()
        await runner._take()
        await runner._begin()
        write = runner._writer.write

        async def later(commit: PageCommit, rows: RowCache) -> bool:
            await it.administration.request_action(NAME, "a", "skip", "no, leave it out", ANN)
            return await write(commit, rows)

        runner._writer.write = later  # type: ignore[method-assign]
        await runner._perform_requested()
        assert [(each.requested_action, each.waiting) for each in await it.dead_letters()] == [("skip", 1)]
        await runner._perform_requested()
        assert [(each.requested_action, each.waiting) for each in await it.dead_letters()] == [(None, 0)], (
            "one skip, asked for twice"
        )
        await runner._give_back()
