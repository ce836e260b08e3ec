"""Whatever a table has against a row, only its key waits; once that is mended, a retry makes it whole."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from hashlib import md5
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import JsonValue
from sqlalchemy import URL

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo
from domain.amends.event import Cause
from domain.amends.projection import Projection, Recorded
from tests.amends.harness.databases import drop_database, fresh_database
from tests.amends.store.harness.projections import NAME, Board, Lit, Out, board_on, lamps, runner_of
from workflows.amends.projections.runner import Runner

Sql = psycopg.Connection
TRIGGER = """
create function public.refuse() returns trigger language plpgsql security definer as $$
begin
    if new.note = 'bad' then raise exception 'not this one' using errcode = '{}'; end if;
    return new;
end $$;
"""
LONG = "public.long(note)"
NO_ROOM = """
    perform set_config('work_mem', '64kB', true), set_config('temp_file_limit', '1kB', true);
    perform count(*) over (order by n) from generate_series(1, 200000) as n"""
"""What meets a limit of the session's own, SQLSTATE 53400, in a trigger that a superuser made."""
REFUSALS = {
    "too long for an index": (
        "create function public.long(n text) returns text immutable language sql as $$"
        " select case when n <> 'bad' then n else "
        " (select string_agg(md5(i::text), '') from generate_series(1, 1000) as i) end $$;"
        f"create index refuse on views.lamp_board_1 ({LONG})",
        "drop index views.refuse",
    ),
    "a check": (
        "alter table views.lamp_board_1 add constraint refuse check (note <> 'bad')",
        "alter table views.lamp_board_1 drop constraint refuse",
    ),
    "a trigger": (
        TRIGGER.format("P0001") + "create trigger refuse before insert or update on views.lamp_board_1"
        " for each row execute function public.refuse()",
        "drop trigger refuse on views.lamp_board_1",
    ),
    "a trigger with a code of its own": (
        TRIGGER.format("MY001") + "create trigger refuse after insert or update on views.lamp_board_1"
        " for each row execute function public.refuse()",
        "drop trigger refuse on views.lamp_board_1",
    ),
    "a trigger with a code of a database that is away": (
        TRIGGER.format("08006") + "create trigger refuse before insert or update on views.lamp_board_1"
        " for each row execute function public.refuse()",
        "drop trigger refuse on views.lamp_board_1",
    ),
    "a trigger at the commit": (
        TRIGGER.format("22000") + "create constraint trigger refuse after insert or update on views.lamp_board_1"
        " deferrable initially deferred for each row execute function public.refuse()",
        "drop trigger refuse on views.lamp_board_1",
    ),
    "a reference": (
        "create table public.notes (note text primary key); insert into public.notes values ('lit'), ('fine');"
        "grant select on public.notes to amends_service;"
        "alter table views.lamp_board_1 add constraint refuse foreign key (note) references public.notes",
        "alter table views.lamp_board_1 drop constraint refuse",
    ),
    "a policy": (
        "alter table views.lamp_board_1 enable row level security;"
        "create policy refuse on views.lamp_board_1 using (true) with check (note <> 'bad')",
        "drop policy refuse on views.lamp_board_1; alter table views.lamp_board_1 disable row level security",
    ),
    "a domain": (
        "create domain public.fit as text check (value <> 'bad');"
        "alter table views.lamp_board_1 add kind public.fit generated always as (note) stored",
        "alter table views.lamp_board_1 drop kind",
    ),
}  # fmt: skip

ODD_CODES = ("08006", "HV00N", "40001", "53100", "57P01", "57014", "55P03", "42501", "42P01", "XX000", "25006", "0A000")

events = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from([Lit(1), Lit(2, "fine"), Lit(3, "bad"), Out()])),
    min_size=1, max_size=14,
)  # fmt: skip


@pytest.mark.parametrize("refusal", REFUSALS)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=events, size=st.integers(1, 20))
def test_one_key_waits_for_each_row_that_is_refused(
    postgres_18: EmbeddedPostgres, refusal: str, history: list[tuple[str, Lit | Out]], size: int
) -> None:
    async def play() -> None:
        url = fresh_database(postgres_18)
        with psycopg.connect(conninfo(url), autocommit=True) as sql:
            async with board_on(url) as it:
                sql.execute(REFUSALS[refusal][0].encode())
                for number, (id, told) in enumerate(history):
                    await it.append(id, told)
                    if number % size == 0:
                        await it.follow()
                await it.follow()
                waiting = {each.key for each in await it.dead_letters()}
                assert waiting <= {id for id, told in history if isinstance(told, Lit) and told.note == "bad"}
                assert {key: row for key, row in (await it.expected()).items() if key not in waiting} == {
                    key: row for key, row in (await it.rows()).items() if key not in waiting
                }
                assert all(row["note"] != "bad" for row in (await it.rows()).values())
                assert (await it.build()).failure is None
                sql.execute(REFUSALS[refusal][1].encode())
                await retry_all(it)
                assert await it.dead_letters() == []
                assert await it.rows() == await it.expected()
        drop_database(postgres_18, url)

    asyncio.run(play())


@pytest.mark.parametrize("code", ODD_CODES)
async def test_what_a_trigger_raises_is_about_its_row_whatever_it_is_called(database: URL, sql: Sql, code: str) -> None:
    async with board_on(database) as it:
        sql.execute(REFUSALS["a trigger"][0].replace("P0001", code).encode())
        await it.append("a", Lit(3, "bad"))
        await it.append("b", Lit(1))
        await asyncio.wait_for(it.follow(), 10)
        assert ([each.key for each in await it.dead_letters()], set(await it.rows())) == (["a"], {"b"})
        assert (await it.build()).failure is None


async def test_what_a_table_reaches_elsewhere_is_noted_as_its_failure(database: URL, sql: Sql) -> None:
    """A trigger that cannot get a connection of its own: the database that said so is there."""
    async with board_on(database) as it:
        sql.execute(TRIGGER.replace("raise exception 'not this one' using errcode = '{}'", NO_ROOM).encode())
        sql.execute(REFUSALS["a trigger"][0].split("$$;")[1].encode())
        await it.append("a", Lit(3, "bad"))
        with pytest.raises(psycopg.errors.ConfigurationLimitExceeded):
            await asyncio.wait_for(it.follow(), 10)
        assert "53400" in ((await it.build()).failure or "")
        sql.execute("drop trigger refuse on views.lamp_board_1")
        await it.follow()
        assert (await it.build()).failure is None
        assert await it.rows() == await it.expected()


async def retry_all(it: Board, wish: Any = "retry") -> None:
    for each in await it.dead_letters():
        await it.administration.request_action(NAME, each.key, wish, "mended", Cause())
    runner = it.runner()
    runner.action_requested = True
    await runner.catch_up()


async def test_rows_that_are_in_each_others_way_only_are_found(database: URL, sql: Sql) -> None:
    async with board_on(database) as it:
        sql.execute("create unique index once on views.lamp_board_1 (note) where note <> 'lit'")
        await it.append("a", Lit(1, "mine"))
        await it.append("b", Lit(1, "mine"))
        await it.append("c", Lit(1))
        await it.follow()
        assert [each.key for each in await it.dead_letters()] == ["b"]
        assert set(await it.rows()) == {"a", "c"}
        await it.append("a", Out())
        await it.append("d", Lit(1, "mine"))
        await it.follow()
        assert set(await it.rows()) == {"c", "d"}, "what was taken out is out of the way"


async def test_a_row_that_may_not_be_taken_out_waits(database: URL, sql: Sql) -> None:
    async with board_on(database) as it:
        await it.append("a", Lit(1))
        await it.append("b", Lit(1))
        await it.follow()
        sql.execute("create table public.kept (lamp text references views.lamp_board_1 deferrable initially deferred)")
        sql.execute("insert into public.kept values ('a')")
        await it.append("a", Out(), Lit(5))
        await it.append("b", Out())
        await it.follow()
        assert set(await it.rows()) == {"a"}
        assert (await it.rows())["a"]["watts"] == 5, "it was never gone"
        await it.append("a", Out())
        await it.follow()
        (aside,) = await it.dead_letters()
        assert (aside.key, aside.type, set(await it.rows())) == ("a", "bench-lamp-out", {"a"})


@dataclass(frozen=True)
class Noted:
    note: str
    watts: int


TOO_LONG = "".join(md5(bytes([n])).hexdigest() for n in range(200))
KEYS: dict[str, Any] = {"nul": "a\0b", "half": "\ud800", "number": 7, "empty": "", "long": TOO_LONG}


def key_of(told: Recorded[Lit]) -> Any:
    return KEYS.get(told.event.note or "", told.event.note)


def noted(row: Noted | None, told: Recorded[Lit]) -> Noted | None:
    return replace(row, watts=row.watts + told.event.watts) if row else Noted(key_of(told), told.event.watts)


by_note = Projection("note_board", version=1, of=lamps, evolve=noted, key="note", key_of=key_of)


async def follow(it: Board, wished: bool = False) -> None:
    runner: Runner = runner_of(it, by_note)
    runner.action_requested = wished
    await runner.catch_up()


@pytest.mark.parametrize(
    ("note", "key", "why"),
    [
        ("nul", "stream lamp-x", "a key is a text that can be stored"),
        ("half", "stream lamp-x", "a key is a text that can be stored"),
        ("number", "stream lamp-x", "a key is a text that can be stored"),
        ("long", TOO_LONG, "index row"),
    ],
)
async def test_a_key_that_no_table_takes_waits_and_is_skipped(database: URL, note: str, key: str, why: str) -> None:
    async with board_on(database, by_note) as it:
        await it.append("x", Lit(1, note))
        await it.append("y", Lit(2, "fine"), Lit(1, "empty"))
        await follow(it)
        (aside,) = await it.dead_letters()
        assert (aside.key, aside.waiting) == (key, 0)
        assert why in aside.error
        assert await it.views.row("note_board", "fine") == {"note": "fine", "watts": 2}
        assert await it.views.row("note_board", "") == {"note": "", "watts": 1}
        await it.administration.request_action("note_board", key, "retry", "perhaps", Cause())
        await follow(it, wished=True)
        assert [each.key for each in await it.dead_letters()] == [key]
        await it.administration.request_action("note_board", key, "skip", "so be it", Cause())
        await follow(it, wished=True)
        assert await it.dead_letters() == []
        await it.append("x", Lit(1, note))
        await follow(it)
        assert [each.key for each in await it.dead_letters()] == [key], "the next one waits by itself"


@dataclass(frozen=True)
class Odd:
    lamp: str
    note: str
    more: dict[str, JsonValue]


VALUES: dict[str, tuple[str, Any]] = {
    "nul": ("a\0b", {}),
    "half": ("\ud800", {}),
    "deep nul": ("fine", {"a": ["\0"]}),
    "deep half": ("fine", {"a": ["\udfff"]}),
    "wide": ("fine", {"a": 10**140_000}),
    "code": ("fine", {"a": object()}),
}


def oddly(row: Odd | None, told: Recorded[Lit]) -> Odd | None:
    if told.event.note == "raise":
        raise ValueError("no \0, no \ud800")
    return Odd(told.key, *VALUES.get(told.event.note or "", (told.event.note, {})))


oddities = Projection("odd_board", version=1, of=lamps, evolve=oddly, key="lamp")


@pytest.mark.parametrize("note", [*VALUES, "raise"])
async def test_a_value_that_cannot_be_stored_keeps_only_its_row_back(database: URL, note: str) -> None:
    async with board_on(database, oddities) as it:
        await it.append("a", Lit(1, note))
        await it.append("b", Lit(1, "fine"))
        await runner_of(it, oddities).catch_up()
        assert [each.key for each in await it.dead_letters()] == ["a"]
        assert await it.views.row("odd_board", "b") == {"lamp": "b", "note": "fine", "more": {}}


async def test_what_waits_is_told_once_in_the_log(database: URL, caplog: pytest.LogCaptureFixture) -> None:
    async with board_on(database) as it:
        await it.append("a", Lit(2**62), Lit(2**62), Lit(1))
        for _ in range(3):
            await it.append("a", Lit(1))
            await it.follow()
        told = [each.getMessage() for each in caplog.records if "is set aside" in each.getMessage()]
        assert len(told) == 1
        assert told[0].startswith("lamp_board build 1: a is set aside, bench-lamp-lit at position 2: ")
        assert "out of range" in told[0]
