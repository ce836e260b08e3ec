"""Events are immutable by the database's own hand."""

from __future__ import annotations

import psycopg
import pytest

Sql = psycopg.Connection

INSERT = """
insert into amends.events (id, stream, version, type, schema_version, data, metadata)
values (gen_random_uuid(), 'order-1', 1, 'order-placed', 1, '{}', '{}')"""


@pytest.mark.parametrize(
    "change",
    [
        "update amends.events set data = '{\"a\": 1}'",
        "delete from amends.events",
        "truncate amends.events",
        "truncate amends.events cascade",
        "set session_replication_role = replica; delete from amends.events",
        "set session_replication_role = replica; update amends.events set version = 2",
    ],
)
def test_what_happened_is_not_changed(sql: Sql, change: str) -> None:
    sql.execute(INSERT)
    with pytest.raises(psycopg.errors.RestrictViolation, match="events are immutable"):
        sql.execute(change)
    assert sql.execute("select version, data from amends.events").fetchall() == [(1, {})]


def test_a_version_is_given_once(sql: Sql) -> None:
    sql.execute(INSERT)
    with pytest.raises(psycopg.errors.UniqueViolation):
        sql.execute(INSERT)
