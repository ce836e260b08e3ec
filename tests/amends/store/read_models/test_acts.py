"""What people do with a read model is done, told and answered in one commit, once for each request."""

from __future__ import annotations

import asyncio
from functools import partial

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.projections.counting import count_events
from app.amends.store.idempotent_requests import IdempotencyKey, IdempotentRequests
from domain.amends.errors import Conflict, Unavailable
from domain.amends.event import Cause
from tests.amends.store.harness.projections import NAME, Elsewhere, Lit, Out, board_on
from workflows.amends.projections.administration import ProjectionAdministration

Sql = psycopg.Connection
ANN = Cause(actor="ann")
NOT_TOLD = """
create function public.fail() returns trigger language plpgsql as $$ begin raise exception 'not today'; end $$;
create trigger fail before insert on amends.events for each row when (new.stream like 'projection-%')
    execute function public.fail();
"""


async def test_what_cannot_be_told_is_not_done(database: URL, sql: Sql) -> None:
    async with board_on(database) as it:
        await it.follow()
        await it.rebuild()
        await it.follow()
        sql.execute(NOT_TOLD)
        with pytest.raises(psycopg.errors.RaiseException):
            await it.promote()
        with pytest.raises(psycopg.errors.RaiseException):
            await it.drop(2)
        sql.execute("drop trigger fail on amends.events")
        assert [build.state for build in await it.builds.all(NAME)] == ["live", "building"]
        assert [event.name for event in await it.events.read(f"projection-{NAME}")] == ["build-begun"]


@pytest.mark.parametrize("what", ["rebuild", "promote", "drop"])
async def test_one_request_sent_many_times_at_once_acts_once(database: URL, what: str) -> None:
    async with board_on(database) as it:
        await it.follow()
        if what != "rebuild":
            await it.rebuild()
            await it.follow()
        acts = {
            "rebuild": partial(it.administration.rebuild, NAME, ANN),
            "promote": partial(it.administration.promote, NAME, 2, ANN),
            "drop": partial(it.administration.drop, NAME, 2, ANN),
        }
        requests = IdempotentRequests(it.store.reader)
        answers = await asyncio.gather(*(requests.once("k", {what: NAME}, acts[what]) for _ in range(8)))
        assert answers == answers[:1] * 8
        assert answers[0]["build"] == 2
        told = await it.events.read(f"projection-{NAME}")
        assert len(told) == (1 if what == "rebuild" else 2)
        assert str(told[-1].cursor) == answers[0]["position"]
        with pytest.raises(Conflict, match="used for another request"):
            await requests.once("k", {what: "another"}, acts[what])


async def test_an_answer_is_found_by_whoever_waited_for_the_same_request(database: URL) -> None:
    async with board_on(database) as it:
        key = IdempotencyKey("k", "digest")
        first = await it.administration.rebuild(NAME, ANN, key)
        assert await it.administration.rebuild(NAME, ANN, key) == first
        with pytest.raises(Conflict, match="used for another request"):
            await it.administration.rebuild(NAME, ANN, IdempotencyKey("k", "another digest"))


async def test_a_connection_that_was_cut_is_no_reason_to_refuse(database: URL, sql: Sql) -> None:
    async with board_on(database) as it:
        await it.builds.all()
        sql.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'amends reader'")
        assert (await it.rebuild()).build == 2


async def test_a_connection_that_is_cut_in_the_middle_is_said(database: URL, sql: Sql) -> None:
    async with board_on(database) as it:
        with pytest.raises(Unavailable):
            async with it.store.reader.transaction() as connection:
                sql.execute("select pg_terminate_backend(%s)", (connection.info.backend_pid,))
                await connection.execute("select 1")


async def test_events_are_counted_slice_by_slice(database: URL) -> None:
    async with board_on(database) as it:
        for number in range(4):
            await it.append(str(number), Lit(1), Out(), Elsewhere())
        types = ["bench-lamp-lit", "bench-lamp-out"]
        for slice in (1, 3, 4, 5, 100):
            assert await count_events(it.store.reader, types, slice) == 8
        assert await count_events(it.store.reader, ["nothing"], 2) == 0


async def test_a_table_that_is_filled_says_how_many_events_it_will_take(database: URL) -> None:
    async with board_on(database) as it:
        await it.append("a", Lit(1), Lit(2), Elsewhere(), Out())
        await it.rebuild()
        runner = it.runner(2)
        await runner._take()
        await runner._begin()
        assert runner._counting
        await runner._counting
        assert ((await it.build(2)).expected, (await it.build(2)).events) == (3, 0)


async def test_a_promotion_waits_for_who_reads_the_view_only_for_a_while(database: URL, sql: Sql) -> None:
    async with board_on(database) as it:
        await it.follow()
        await it.rebuild()
        await it.follow()
        with sql.transaction():
            sql.execute("select * from views.lamp_board")
            with pytest.raises(Conflict, match="Somebody has been reading"):
                await ProjectionAdministration(it.builds, patience=0.0).promote(NAME, None, Cause())
        assert (await it.promote()).state == "live"
