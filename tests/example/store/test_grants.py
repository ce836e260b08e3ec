"""All that the service's role is given, and what nobody gets at by way of it: forging, destroying, SQL in names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql as quoted
from sqlalchemy import URL

from app.amends.postgres.roles import as_service
from tests.amends.harness.databases import prepare
from tests.amends.store.connections.test_roles import session
from tests.amends.store.events.test_immutable import INSERT

Sql = psycopg.Connection

GRANTED = {
    "schema amends": "usage",
    "schema dbos": "usage",
    "schema sandbox": "usage",
    "schema views": "usage",
    "amends.alembic_version": "select",
    "amends.schema_state": "select",
    "amends.brakes": "insert (actor, compensations, id, name, provider, reason, starts, step, version); select;"
    " update (lifted_at, lifted_by, lifted_reason)",
    "amends.causes": "insert (error, id, kind, name, provider, step, version); select",
    "amends.builds": "select; update (caught_up_at, events, expected, failure, generation, lease_until, moved_at,"
    " position, runner, transaction_id, types)",
    "amends.checked_code": "insert (code, executor); select; update (checked_at, claimed_at, executor)",
    "amends.events": "insert (data, id, metadata, schema_version, stream, type, version); select",
    "amends.executors": "insert (born, id, kinds, lease_until, machine, pid); select;"
    " update (blocked, ended_at, ended_by, lease_until, renewed_at)",
    "amends.generations": "select",
    "amends.losses": "select",
    "amends.outages": "delete; insert (down_since, error, executor, provider); select;"
    " update (down_since, error, reported_at)",
    "amends.requests": "insert (answer, digest, key); select",
    "amends.runs": "select",
    "amends.sagas": "insert (actor, brake, brake_since, correlation_id, deadline_at, due_at, id, name, parent,"
    " reference, request, root, settled, start_brake, status, version, was_settled); select;"
    " update (brake, brake_since, cancel_reason, cause, compensation_cause, due_at, finished_at, not_before, parent,"
    " progress, provider,"
    " provider_since, reason, settled, since, status, takeovers, version, waiting_for, was_settled)",
    "amends.set_aside": "delete; insert (build, error, key, name); select; update (wish)",
    "amends.set_aside_events": "insert (build, key, name, position); select",
    "amends.shapes": "insert (before, digest, kind, name, shape, version); select",
    "amends.skipped": "insert (build, key, name, position); select",
    "amends.snapshots": "delete; insert (code, state, stream, version); select; update (state, taken_at, version)",
    "dbos.application_versions": "insert; select; update",
    "dbos.dbos_migrations": "select",
    "dbos.event_dispatch_kv": "select",
    "dbos.notifications": "select",
    "dbos.operation_outputs": "insert; select",
    "dbos.queues": "select",
    "dbos.streams": "select",
    "dbos.workflow_events": "select",
    "dbos.workflow_events_history": "select",
    "dbos.workflow_input": "insert; select; update (inputs)",
    "dbos.workflow_output": "delete; insert; select; update",
    "dbos.workflow_schedules": "select",
    "dbos.workflow_status": "insert; select; update",
    "sandbox.calls": "insert (idempotency_key, operation, outcome, provider, reference, request, status); select",
    "sandbox.effects": "insert (amount, id, idempotency_key, operation, provider, reference); select",
    "sandbox.pending": "delete; insert (amount, due_at, idempotency_key, operation, provider, reference, request);"
    " select; update (due_at)",
    "sandbox.switches": "insert (enabled, name); select; update (enabled)",
    "sandbox.undone": "insert (by_key, idempotency_key); select",
    "views.board": "select",
    "views.board_1": "delete; insert; select; update",
}
"""Every right of the service's role and of everybody. What is added here is a decision."""

ALL = """
with acls as (
    select format('schema %I', n.nspname) as on, null::text as column, a.privilege_type as right, a.grantee
      from pg_namespace as n cross join aclexplode(n.nspacl) as a
     where n.nspname in ('amends', 'dbos', 'sandbox', 'views')
    union all
    select format('%I.%I', n.nspname, c.relname), null, a.privilege_type, a.grantee
      from pg_class as c join pg_namespace as n on n.oid = c.relnamespace cross join aclexplode(c.relacl) as a
     where n.nspname in ('amends', 'dbos', 'sandbox', 'views')
    union all
    select format('%I.%I', n.nspname, c.relname), t.attname, a.privilege_type, a.grantee
      from pg_attribute as t join pg_class as c on c.oid = t.attrelid join pg_namespace as n on n.oid = c.relnamespace
     cross join aclexplode(t.attacl) as a
     where n.nspname in ('amends', 'dbos', 'sandbox', 'views')
), rights as (
    select acls.on, lower(acls.right)
           || coalesce(' (' || string_agg(acls.column, ', ' order by acls.column) || ')', '') as right
      from acls where grantee in (0, 'amends_service'::regrole) group by acls.on, acls.right, acls.column is null
)
select rights.on, string_agg(rights.right, '; ' order by rights.right) from rights group by rights.on
"""
OTHERS = """
select coalesce(array_agg(p.oid::regproc::text order by p.proname), '{}')
  from pg_proc as p where p.pronamespace = 'amends'::regnamespace and """
EVERYBODYS = "exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) where grantee = 0)"
RELATIONS = """
select c.oid::regclass::text, c.relkind::text from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
 where n.nspname in ('amends', 'dbos', 'sandbox', 'views') and c.relkind in ('r', 'v', 'S') order by 1"""

TABLE = [
    "truncate {0}",
    "drop table {0} cascade",
    "alter table {0} disable trigger all",
    "alter table {0} owner to current_user",
    "alter table {0} add column more int",
    "alter table {0} enable row level security",
    "create trigger more before insert on {0} for each row execute function amends.refuse_change()",
    "create rule more as on insert to {0} do instead nothing",
    "create index on {0} ((1))",
    "comment on table {0} is 'mine'",
]
VIEW = ["insert into {0} default values", "drop view {0}", "create or replace view {0} as select 1", "delete from {0}"]
SEQUENCE = [
    "select setval('{0}', 1)",
    "select nextval('{0}')",
    "alter sequence {0} restart",
    "drop sequence {0} cascade",
]
STATEMENTS = {"r": TABLE, "v": VIEW, "S": SEQUENCE}

WRITES = {"insert": "insert into {0} ({1}) values (null)", "update": "update {0} set {1} = null"}
FORGED = {
    "position": "1",
    "recorded_at": "'2020-01-01'",
    "transaction_id": "'1'",
    "generation": "999",
}
"""What the database says of an event, and what a liar would have it say."""
NOT_GIVEN = (psycopg.errors.InsufficientPrivilege, psycopg.errors.GeneratedAlways)

OPEN = "select amends.open_build(%(name)s, 1, %(key)s, %(columns)s::jsonb, %(indexes)s::jsonb, '{it-was}', false, true)"
COLUMN = {"name": "id", "type": "text", "nullable": False}
BOARD: dict[str, Any] = {"name": "board", "key": "id", "columns": json.dumps([COLUMN]), "indexes": "[]"}
ENDINGS = ["; drop table amends.events --", '"; drop table amends.events --', "' || 1", ") as select 1; --", "", "\n"]
ODD = st.one_of(st.none(), st.text(st.characters(codec="utf-8", exclude_characters="\0")), st.sampled_from(ENDINGS))


@pytest.fixture
def service(database: URL) -> Iterator[Sql]:
    """A session of the service, on a database that has a read model."""
    with session(as_service(database)) as connection:
        connection.execute(OPEN, BOARD)
        yield connection


def value(connection: Sql, statement: str) -> Any:
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]


def test_the_role_has_the_rights_that_stand_here_and_no_others(service: Sql) -> None:
    assert dict(service.execute(ALL).fetchall()) == GRANTED
    assert value(service, OTHERS + "prosecdef") == [
        f"amends.{each}"
        for each in (
            "drop_build",
            "drop_model",
            "enter",
            "note_loss",
            "open_build",
            "point_view",
            "promote_build",
            "restore_view",
        )
    ]
    assert value(service, OTHERS + "not has_function_privilege('amends_service', p.oid, 'execute')") == [
        "amends.open_generation",
        "amends.point_view",
    ]
    assert value(service, OTHERS + EVERYBODYS) == []
    assert value(service, OTHERS + "prosecdef and proconfig <> '{\"search_path=pg_catalog, pg_temp\"}'") == []


def test_an_upgrade_brings_back_just_these_rights(database: URL, service: Sql, sql: Sql) -> None:
    """Those that an earlier version has granted, too."""
    sql.execute("grant all on all tables in schema amends, dbos, sandbox, views to amends_service")
    sql.execute("grant all on all sequences in schema amends, dbos, sandbox to amends_service")
    sql.execute("grant execute on all functions in schema amends to public")
    sql.execute("update amends.schema_state set applied = 'by another version'")
    prepare(database)
    test_the_role_has_the_rights_that_stand_here_and_no_others(service)


def test_no_table_view_or_sequence_is_destroyed_or_taken_over(service: Sql) -> None:
    relations = service.execute(RELATIONS).fetchall()
    assert {kind for _, kind in relations} == set(STATEMENTS)
    for name, kind in relations:
        for statement in STATEMENTS[kind]:
            refused = (psycopg.errors.InsufficientPrivilege, psycopg.errors.WrongObjectType)
            with pytest.raises(refused), service.transaction():
                service.execute(statement.format(name).encode())
    assert [name for name, _ in service.execute(RELATIONS).fetchall()] == [name for name, _ in relations]


@pytest.mark.parametrize("column", FORGED)
@pytest.mark.parametrize("how", ["", " overriding system value", " overriding user value"])
def test_what_the_database_says_of_an_event_cannot_be_given(service: Sql, column: str, how: str) -> None:
    forged = INSERT.replace("metadata)", f"metadata, {column}){how}").replace("'{}')", f"'{{}}', {FORGED[column]})")
    with pytest.raises(NOT_GIVEN):
        service.execute(forged.encode())
    assert service.execute("select from amends.events").fetchall() == []


def test_every_column_that_is_not_granted_is_refused(service: Sql) -> None:
    """Column by column, on every table: insert and update are allowed just where the list says so."""
    columns = service.execute(
        "select c.oid::regclass::text, t.attname::text from pg_attribute as t join pg_class as c on c.oid = t.attrelid"
        " where c.relnamespace in ('amends'::regnamespace, 'dbos'::regnamespace, 'sandbox'::regnamespace)"
        " and c.relkind = 'r' and t.attnum > 0 and not t.attisdropped"
    ).fetchall()
    for table, column in columns:
        rights = GRANTED[table].split("; ")
        for right, statement in (
            ("insert", "insert into {0} ({1}) values (null)"),
            ("update", "update {0} set {1} = null"),
        ):
            given = next((each for each in rights if each.startswith(right)), None)
            if given is None or (given != right and column not in given.removeprefix(right).strip(" ()").split(", ")):
                with pytest.raises(NOT_GIVEN):
                    service.execute(quoted.SQL(statement).format(quoted.SQL(table), quoted.Identifier(column)))


def said_of_builds() -> list[str]:
    """Every update of a build that the service may make, each with what would say that nobody follows it."""
    columns = re.findall(r"[a-z_]+", GRANTED["amends.builds"].partition("update")[2])
    defaults = {"failure": "'gone'", "generation": "9", "transaction_id": "9", "position": "9", "types": "'{}'"}
    long_ago = dict.fromkeys(("moved_at", "caught_up_at", "lease_until"), "'-infinity'")
    nothing = {"runner": "null", "events": "0", "expected": "0"}
    values = defaults | long_ago | nothing
    assert set(columns) == set(values), "a right to write another column has a case here"
    return [
        *(f"update amends.builds set {column} = {value}" for column, value in values.items()),
        "update amends.builds set runner = null, lease_until = null, moved_at = null, caught_up_at = null",
        "update amends.executors set ended_at = '-infinity', lease_until = '-infinity', ended_by = 'me'",
        "insert into amends.builds select * from amends.builds",
        "delete from amends.builds",
        "update amends.builds set touched_at = '-infinity'",
        "update amends.builds set started_at = '-infinity'",
        "alter table amends.builds disable trigger builds_touched",
    ]


def test_a_read_model_that_is_followed_is_not_dropped_whatever_the_service_writes_of_it(service: Sql, sql: Sql) -> None:
    """It has written a lease, and says in every way that it may that there is none."""
    service.execute("select amends.take_build('board', 1, 'somebody/board_1', '10 s')")
    for statement in said_of_builds():
        with suppress(psycopg.errors.InsufficientPrivilege):
            service.execute(statement.encode())
        assert value(service, "select amends.drop_model('board')") == "followed", statement
    assert value(service, "select count(*) from views.board_1") == 0
    sql.execute("update amends.builds set touched_at = now() - interval '19 s'")
    assert value(service, "select amends.drop_model('board')") == "followed"
    sql.execute("update amends.builds set touched_at = now() - interval '21 s', lease_until = now() + interval '1 h'")
    assert value(service, "select amends.drop_model('board')") == "dropped", "nobody has written for so long"


@pytest.mark.parametrize("lease", ["'infinity'", "now() + interval '100 y'"])
def test_nobody_keeps_those_who_follow_from_it_by_a_lease_without_an_end(service: Sql, lease: str) -> None:
    """Whoever did could wait until nobody has written for long enough, and drop it."""
    service.execute(f"update amends.builds set runner = 'me', lease_until = {lease}".encode())
    assert value(service, "select lease_until <= clock_timestamp() + interval '10 s' from amends.builds")
    service.execute("select amends.take_build('board', 1, 'me', '100 years')")
    assert value(service, "select lease_until <= clock_timestamp() + interval '10 s' from amends.builds")


def test_no_read_model_is_renamed_or_given_other_columns(service: Sql) -> None:
    for change in ("name = 'x; drop'", "columns = '[]'", "key = 'x'", "state = 'live'", "build = 7"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            service.execute(f"update amends.builds set {change}".encode())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cursor=st.sampled_from(["name", "key", "column", "type", "index"]),
    before=st.sampled_from(["", "id", "text", "board"]),
    odd=ODD,
)
def test_names_and_types_that_end_in_sql_are_names_or_refused(
    service: Sql, cursor: str, before: str, odd: str | None
) -> None:
    """As the owner of the tables, who makes them: whatever is in a name, just a table, a view and an index are made."""
    text = None if odd is None else before + odd
    column = COLUMN | ({"name": text} if cursor == "column" else {"type": text} if cursor == "type" else {})
    wanted = {
        "name": text if cursor == "name" else "other",
        "key": text if cursor == "key" else "id",
        "columns": json.dumps([COLUMN | {"name": "id"}, column | ({} if cursor == "column" else {"name": "more"})]),
        "indexes": json.dumps([[text]] if cursor == "index" else []),
    }
    before_all = service.execute(RELATIONS).fetchall()
    try:
        with service.transaction(force_rollback=True):
            service.execute(OPEN, wanted)
            made = {name for name, _ in service.execute(RELATIONS).fetchall()} - {name for name, _ in before_all}
            assert len(made) in (0, 2), made
            assert all(name.startswith("views.") for name in made)
    except (psycopg.errors.InvalidName, psycopg.errors.DuplicateColumn):
        pass
    assert service.execute(RELATIONS).fetchall() == before_all


def test_a_view_of_somebody_elses_is_not_replaced(service: Sql, sql: Sql) -> None:
    sql.execute("create view views.reports as select 1 as mine")
    with pytest.raises(psycopg.errors.DuplicateTable, match="is no read model"):
        service.execute(OPEN, BOARD | {"name": "reports"})
    assert sql.execute("select mine from views.reports").fetchone() == (1,)


@pytest.mark.parametrize("type", ["text); drop table amends.events; --", "amends.executors", "text[]; select 1"])
def test_a_type_that_ends_in_sql_is_not_run_by_who_reads_a_view(service: Sql, sql: Sql, type: str) -> None:
    """Also where the owner itself has written it."""
    sql.execute("update amends.builds set columns = %s::jsonb", (json.dumps([COLUMN | {"type": type}]),))
    with pytest.raises(psycopg.Error):
        service.execute("select amends.view_rows('board', '{\"id\": \"1\"}', null, 10)")
    assert service.execute("select from amends.events").fetchall() == []
