"""What the database says to those who write is told by /readyz and in the log, and all goes on once that is mended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import URL

from app.amends.postgres.embedded.server import EmbeddedPostgres
from app.amends.postgres.urls import conninfo
from tests.amends.harness.databases import drop_database, fresh_database
from tests.example.server import Server, http, wait_for

FULL = """
create function public.no_room() returns trigger language plpgsql as $$
begin raise exception 'could not extend file: No space left on device' using errcode = 'disk_full'; end $$;
create trigger no_room before update on amends.executors for each row execute function public.no_room();
create trigger no_room before insert on amends.events for each statement execute function public.no_room()
"""
FULL_FOR_EVENTS = FULL.replace("update on amends.executors", "insert on amends.snapshots")
ROOM = "drop function public.no_room() cascade"
CUT = "select pg_terminate_backend(pid) from pg_stat_activity where usename = '{role}'"
FAULTS = {
    "no-right": (
        "revoke update on amends.executors from amends_service",
        "grant update (renewed_at, lease_until, ended_at, ended_by, blocked) on amends.executors to amends_service",
        "permission denied for table executors",
    ),
    "no-connection": (
        "alter role {role} connection limit 0; " + CUT,
        "alter role {role} connection limit -1",
        "too many connections for role",
    ),
    "no-right-to-write": (
        "revoke insert on amends.events from amends_service",
        "grant insert (id, stream, version, type, schema_version, data, metadata) on amends.events to amends_service",
        "permission denied for table events",
    ),
    "disk-full": (FULL, ROOM, "No space left on device"),
    "full-for-events": (FULL_FOR_EVENTS, ROOM, "No space left on device"),
    "another-schema": (
        "alter table amends.executors rename renewed_at to seen_at",
        "alter table amends.executors rename seen_at to renewed_at",
        'column "renewed_at" of relation "executors" does not exist',
    ),
}


@pytest.fixture(scope="module")
def cursors(postgres_18: EmbeddedPostgres) -> Iterator[tuple[Server, psycopg.Connection, str]]:
    """A server whose role is no superuser, and a superuser's connection."""
    owner, role = fresh_database(postgres_18), f"writes_{uuid4().hex[:8]}"
    with psycopg.connect(conninfo(owner), autocommit=True) as sql:
        sql.execute(f"create role {role} login password 'x'")
        url: URL = owner.set(username=role, password="x")
        with Server(url, migration_url=conninfo(owner)) as server:
            yield server.start(), sql, role
        sql.execute(f"drop owned by {role}")
        sql.execute(f"drop role {role}")
    drop_database(postgres_18, owner)


def readiness(server: Server) -> tuple[int, Any]:
    answer = http.get(f"{server.base}/readyz")
    return answer.status_code, answer.json().get("detail", "")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_told_and_what_was_asked_for_meanwhile_is_done_once_it_is_mended(
    cursors: tuple[Server, psycopg.Connection, str], fault: str
) -> None:
    server, sql, role = cursors
    breaks, mends, said = FAULTS[fault]
    executor = server.get("/healthz")["executor"]
    assert server.place_order(fault, sku="SLOW-boat").status_code == 202
    sql.execute(breaks.format(role=role))
    try:
        wait_for(lambda: said in readiness(server)[1], "/readyz says so", 30)
        assert readiness(server)[0] == 503
        wait_for(lambda: said in server.said, "the log says so", 30)
    finally:
        sql.execute(mends.format(role=role))
    wait_for(lambda: readiness(server)[0] == 200, "it is ready again", 30)
    assert server.saga_when_back(fault)["status"] == "completed"
    effects = sql.execute("select count(*) from sandbox.effects where reference = %s", (fault,)).fetchone()
    assert effects == (3,), "each once"
    assert server.get("/healthz")["executor"] == executor


@pytest.mark.parametrize("table", ["calls", "effects"])
def test_the_sandbox_answers_503_while_it_has_no_tables(
    cursors: tuple[Server, psycopg.Connection, str], table: str
) -> None:
    server, sql, _ = cursors
    lines = {"reference": table, "lines": [{"sku": "apple", "quantity": 1}]}
    sql.execute(f"alter table sandbox.{table} rename to {table}_away")
    try:
        answer = server.post("/sandbox/stock/hold", lines, Idempotency_Key=table)
    finally:
        sql.execute(f"alter table sandbox.{table}_away rename to {table}")
    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (503, "unavailable"), answer.text
    assert server.post("/sandbox/stock/hold", lines, Idempotency_Key=table).status_code == 201
