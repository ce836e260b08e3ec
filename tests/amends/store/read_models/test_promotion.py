"""A promotion shows no less than before, forgets nothing that a person decided, and changes nobody's rights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.projections.reporting import read_model_report
from app.amends.projections.row_queries import ReadModelQueries
from domain.amends.errors import Conflict, NotFound
from domain.amends.event import Cause
from domain.amends.projection import Projection, Recorded
from tests.amends.store.harness.projections import LONG_AGO, NAME, Board, Lit, Out, board, board_on, broken, lamps, wide

Sql = psycopg.Connection
ANN = Cause(actor="ann")


@dataclass(frozen=True)
class Moved:
    """The same columns in another order, and one more."""

    note: str
    lamp: str
    times: int
    watts: int
    more: int = 0


def moved(row: Moved | None, told: Recorded[Lit | Out]) -> Moved | None:
    return Moved("lit", told.key, 1, 1)


other_order = Projection(NAME, version=2, of=lamps, evolve=moved, key="lamp")


@pytest.fixture
def roles(sql: Sql) -> Iterator[list[str]]:
    """Roles of a test's own: they are of the whole cluster."""
    made = [f"reader_{uuid4().hex[:8]}" for _ in range(3)]
    for role in made:
        sql.execute(f"create role {role}".encode())
    yield made
    sql.execute("reset role")
    for role in made:
        sql.execute(f"drop owned by {role}; drop role {role}".encode())


RIGHTS = {
    "table grants": "select grantee, privilege_type, is_grantable from information_schema.role_table_grants"
    " where table_schema = 'views' and table_name = 'lamp_board' order by 1, 2",
    "column grants": "select grantee, column_name, privilege_type, is_grantable from"
    " information_schema.column_privileges where table_schema = 'views' and table_name = 'lamp_board'"
    " and column_name in ('lamp', 'watts') order by 1, 2, 3",
    "view": "select obj_description(c.oid, 'pg_class'), c.reloptions, pg_get_userbyid(c.relowner) from pg_class as c"
    " where c.oid = 'views.lamp_board'::regclass",
    "comments": "select attname, col_description(attrelid, attnum) from pg_attribute"
    " where attrelid = 'views.lamp_board'::regclass and attname in ('lamp', 'watts') order by 1",
}
TABLE = {
    "table": "select obj_description(c.oid, 'pg_class'), c.relrowsecurity, c.relforcerowsecurity,"
    " pg_get_userbyid(c.relowner) from pg_class as c where c.oid = '{}'::regclass",
    "columns": "select attname, col_description(attrelid, attnum), attacl::text from pg_attribute"
    " where attrelid = '{}'::regclass and attname in ('lamp', 'watts') order by 1",
    "grants": "select grantee::regrole::text, privilege_type, is_grantable from pg_class, aclexplode(relacl)"
    " where oid = '{}'::regclass order by 1, 2",
    "policies": "select polname, polpermissive, polcmd, polroles::regrole[]::text, pg_get_expr(polqual, polrelid),"
    " pg_get_expr(polwithcheck, polrelid) from pg_policy where polrelid = '{}'::regclass order by 1",
}


def seen(sql: Sql, asked: dict[str, str], table: str = "") -> dict[str, Any]:
    return {what: sql.execute(query.replace("{}", table).encode()).fetchall() for what, query in asked.items()}


@pytest.mark.parametrize("newer", [None, wide, other_order], ids=["same", "other columns", "another order"])
async def test_what_others_may_do_and_have_said_stays(
    database: URL, sql: Sql, roles: list[str], newer: Projection[Any, Any] | None
) -> None:
    one, two, three = roles
    async with board_on(database, board) as it:
        await it.append("a", Lit(150))
        await it.follow()
        sql.execute(
            f"""
            grant usage on schema views to {one}, {two}, {three};
            grant select on views.lamp_board to {one};
            grant select, insert, delete on views.lamp_board to {two} with grant option;
            grant select (lamp, watts), update (watts) on views.lamp_board to {three};
            grant references (lamp) on views.lamp_board to {three} with grant option;
            comment on view views.lamp_board is 'It''s ours';
            comment on column views.lamp_board.watts is 'in watts, not "volts"';
            alter view views.lamp_board set (security_barrier = true, security_invoker = true);
            grant select on views.lamp_board_1 to {one}, {two} with grant option;
            grant select on views.lamp_board_1 to {three}; grant update (watts) on views.lamp_board_1 to {three};
            comment on table views.lamp_board_1 is 'numbered';
            comment on column views.lamp_board_1.lamp is 'its name';
            alter table views.lamp_board_1 enable row level security;
            create policy mine on views.lamp_board_1 for select to {one}, {two} using (lamp <> 'b' and watts > 0);
            create policy service on views.lamp_board_1 as permissive to amends_service using (true) with check (true);
            create policy less on views.lamp_board_1 as restrictive for insert to public with check (watts < 100000);
        """.encode()
        )
        before, behind = seen(sql, RIGHTS), seen(sql, TABLE, "views.lamp_board_1")
        if newer:
            it.known[NAME, 2] = newer
        await it.rebuild()
        await it.follow()
        await it.promote()
        assert seen(sql, RIGHTS) == before
        assert seen(sql, TABLE, "views.lamp_board_2") == behind
        sql.execute(f"set role {three}".encode())
        assert sql.execute("select lamp, watts from views.lamp_board").fetchall() == []
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            sql.execute("select * from views.lamp_board")
        sql.execute(f"set role {one}".encode())
        assert len(sql.execute("select lamp from views.lamp_board").fetchall()) == 1
        sql.execute("reset role")
        await it.append("a", Lit(1))
        await it.append("b", Lit(1))
        await it.follow()
        assert await it.dead_letters() == [], "the service writes as before"
        sql.execute(f"revoke all on views.lamp_board from {one}; drop policy mine on views.lamp_board_2".encode())
        later = seen(sql, RIGHTS)
        await it.promote(1)
        assert seen(sql, RIGHTS) == later, "what was taken away in between stays away"
        assert [name for name, *_ in seen(sql, TABLE, "views.lamp_board_1")["policies"]] == ["less", "service"]


async def test_rules_that_a_new_table_cannot_have_are_not_lost_without_a_word(database: URL, sql: Sql) -> None:
    async with board_on(database, board) as it:
        sql.execute("create policy mine on views.lamp_board_1 using (note <> 'secret')")
        it.known[NAME, 2] = wide
        await it.rebuild()
        await it.follow()
        with pytest.raises(Conflict, match="not by the same rules"):
            await it.promote()
        assert (await it.build(1)).state == "live"
        sql.execute("drop policy mine on views.lamp_board_1")
        sql.execute("create function public.no() returns trigger language plpgsql as 'begin return null; end'")
        sql.execute("create trigger no instead of insert on views.lamp_board for each row execute function public.no()")
        with pytest.raises(Conflict, match="triggers or rules"):
            await it.promote()
        sql.execute("drop trigger no on views.lamp_board")
        assert (await it.promote()).build == 2


async def caught_up(it: Board) -> None:
    """Let the runners do what is wished too."""
    for build in await it.builds.all(NAME):
        runner = it.runner(build.build, build.version)
        runner.action_requested = True
        await runner.catch_up()


async def test_what_was_skipped_stays_skipped_in_a_rebuild(database: URL) -> None:
    async with board_on(database) as it:
        broken.update((13, 14))
        await it.append("a", Lit(1), Lit(13), Lit(2), Lit(14), Lit(4))
        await it.append("b", Lit(13), Lit(1))
        await it.follow()
        await it.administration.request_action(NAME, "a", "skip", "written by hand", ANN)
        await caught_up(it)
        await it.administration.request_action(NAME, "a", "skip", "this one too", ANN)
        await caught_up(it)
        assert (await it.rows())["a"]["watts"] == 7
        await it.rebuild()
        await it.follow()
        assert [(each.build, each.key) for each in await it.dead_letters()] == [(1, "b"), (2, "b")]
        await it.promote()
        assert (await it.rows())["a"]["watts"] == 7
        skipped = await it.store.projections.skipped_events(NAME)
        assert [(each.key, each.version, each.reason, each.actor) for each in skipped] == [
            ("a", 4, "this one too", "ann"),
            ("a", 2, "written by hand", "ann"),
        ]
        (shown,) = await read_model_report(it.builds, NAME)
        assert (shown["skipped"], [each["key"] for each in shown["set_aside_keys"]]) == (2, ["b", "b"])


async def test_a_table_that_would_show_less_is_not_promoted_without_a_word(database: URL) -> None:
    async with board_on(database) as it:
        await it.append("a", Lit(1), Lit(13))
        await it.append("b", Lit(14), Lit(15))
        await it.append("c", Lit(1))
        broken.add(15)
        await it.follow()
        broken.update((13, 14))
        await it.rebuild()
        await it.follow()
        with pytest.raises(Conflict, match=r"show less .* 2 keys are set aside in it \(a, b\)") as less:
            await it.promote()
        assert less.value.kind == "set-aside"
        assert (await it.build(1)).state == "live"
        promoted = await it.administration.promote(NAME, None, ANN, less=True)
        assert promoted["build"] == 2
        assert (await it.promote(1)).build == 1, "the way back shows more"


async def test_a_table_that_is_not_there_is_neither_promoted_nor_in_the_way(database: URL, sql: Sql) -> None:
    async with board_on(database) as it:
        await it.append("a", Lit(1))
        await it.follow()
        await it.rebuild()
        await it.follow()
        sql.execute("alter table views.lamp_board_2 rename to elsewhere")
        with pytest.raises(Conflict, match="cannot be shown"):
            await it.promote()
        sql.execute("alter table views.elsewhere rename to lamp_board_2")
        sql.execute("drop table views.lamp_board_1 cascade")
        assert (await it.promote()).build == 2
        assert await it.drop(1) == 1
        assert await it.rows() == await it.expected()


async def test_the_first_that_is_live_may_be_one_that_was_rebuilt(database: URL, sql: Sql) -> None:
    async with board_on(database) as it:
        await it.append("a", Lit(1))
        await it.rebuild()
        await it.follow()
        sql.execute("update amends.builds set state = 'retired' where build = 1")
        assert (await it.promote()).build == 2
        assert await it.rows() == await it.expected()


@pytest.mark.parametrize("kind", ["table", "materialized view"])
async def test_something_else_by_the_name_of_the_view_is_told(database: URL, sql: Sql, kind: str) -> None:
    async with board_on(database) as it:
        await it.append("a", Lit(1))
        await it.rebuild()
        await it.follow()
        sql.execute(f"drop view views.lamp_board; create {kind} views.lamp_board as select 1 as n".encode())
        with pytest.raises(Conflict, match="Something of another kind"):
            await it.promote()
        sql.execute("alter table views.lamp_board_2 rename to mine; create view views.lamp_board_2 as select 1 as n")
        with pytest.raises(Conflict, match="Something of another kind"):
            await it.drop(2)


async def test_a_view_of_somebody_elses_is_neither_replaced_nor_dropped(database: URL, sql: Sql) -> None:
    async with board_on(database) as it:
        sql.execute("drop view views.lamp_board; create view views.lamp_board as select 1 as n")
        with pytest.raises(Conflict, match="is no read model"):
            await it.rebuild()
        it.known.pop((NAME, 1))
        sql.execute(LONG_AGO)
        assert (await it.administration.drop(NAME, None, ANN))["dropped"] == [1]
        assert sql.execute("select n from views.lamp_board").fetchall() == [(1,)]


async def test_a_read_model_whose_code_is_gone_is_orphaned_and_can_be_dropped(database: URL, sql: Sql) -> None:
    async with board_on(database) as it:
        await it.append("a", Lit(13))
        broken.add(13)
        await it.follow()
        await it.rebuild()
        code = it.known.pop((NAME, 1))
        (shown,) = await read_model_report(it.builds)
        assert (shown["status"], shown["mode"], len(shown["builds"])) == ("orphaned", None, 2)
        with pytest.raises(NotFound):
            await ReadModelQueries(it.builds, it.events).rows(NAME, {}, None, 10)
        with pytest.raises(NotFound):
            await it.rebuild()
        with pytest.raises(Conflict, match="stop it first"):
            await it.administration.drop(NAME, None, ANN)
        sql.execute(LONG_AGO)
        assert (await it.administration.drop(NAME, None, ANN))["dropped"] == [1, 2]
        assert await read_model_report(it.builds) == []
        left = sql.execute("select count(*) from pg_class where relnamespace = 'views'::regnamespace").fetchone()
        assert left == (0,)
        with pytest.raises(NotFound):
            await it.administration.drop(NAME, None, ANN)
        it.known[NAME, 1] = code
        await it.builds.create_first_builds()
        await it.follow()
        assert (await it.build()).build == 1, "it begins anew once it is back"
