"""The floor: one row per commit by a plain INSERT, into a table like that of the events with nothing but its key."""

from __future__ import annotations

import asyncio
from itertools import count

import psycopg
from sqlalchemy import URL

from app.amends.postgres.urls import conninfo
from benchmarks.store.measuring import Figures, tasks
from workflows.amends.ids import new_id

TABLE = """
create table if not exists public.floor_events (
    position        bigint generated always as identity primary key,
    id              uuid not null,
    stream          text not null,
    version         int not null,
    type            text not null,
    schema_version  int not null,
    data            jsonb not null,
    metadata        jsonb not null,
    recorded_at     timestamptz not null default clock_timestamp(),
    transaction_id  xid8 not null default pg_current_xact_id(),
    generation      int not null default 1
)"""

INSERT = """
insert into public.floor_events (id, stream, version, type, schema_version, data, metadata)
values (%s, %s, %s, 'money-deposited', 1, '{"amount": 1}', '{"actor": "anonymous"}')"""


async def append(url: URL, events: int, writers: int) -> Figures:
    """Every writer has a connection of its own, and its statement is prepared."""
    assert events == 1, "the floor is one row per commit"
    connections = [
        await psycopg.AsyncConnection.connect(conninfo(url), autocommit=True, prepare_threshold=0)
        for _ in range(writers)
    ]
    await connections[0].execute(TABLE)
    streams, versions = [f"account-{new_id()}" for _ in range(writers)], [count(1) for _ in range(writers)]

    async def write(mine: int) -> None:
        await connections[mine].execute(INSERT, (new_id(), streams[mine], next(versions[mine])))

    measured = await tasks(write, writers)
    await asyncio.gather(*(connection.close() for connection in connections))
    return measured
