"""Events that were there before: made by the server itself, as fast as it can."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
from sqlalchemy import URL

from app.amends.postgres.bootstrap import prepare_database
from app.amends.postgres.urls import conninfo

ORDERED_ID = """
create or replace function pg_temp.ordered_id(p_millisecond bigint, p_seed text)
returns uuid immutable language sql as $$
    select overlay(overlay(overlay(md5(p_seed) placing lpad(to_hex(p_millisecond), 12, '0') from 1)
                   placing '7' from 13) placing '8' from 17)::uuid
$$"""
"""An id as Amends makes them: version 7, later ones sort later."""

EVENTS = """
insert into amends.events (id, stream, version, type, schema_version, data, metadata)
select pg_temp.ordered_id(%(from)s + i, %(seed)s || i),
       coalesce(%(stream)s, 'account-' || md5((i / %(length)s)::text)::uuid),
       i %% %(length)s + 1,
       case when i %% %(length)s = 0 then 'account-opened' else 'money-deposited' end,
       1,
       case when i %% %(length)s = 0
            then '{"account_id": "ada", "owner": "Ada", "currency": "EUR", "opening_balance": 0}'::jsonb
            else '{"amount": 1}' end,
       jsonb_build_object('actor', 'anonymous',
                          'correlation_id', pg_temp.ordered_id(%(from)s + i / %(length)s, %(seed)s || (i / %(length)s)))
  from generate_series(%(first)s::int, %(last)s::int - 1) as i
 order by i"""
"""Streams of a length: one by its name, or many whose names are in no order."""


def database(cluster: URL, name: str) -> tuple[URL, URL]:
    """A new database with our tables: its URL for their owner, and for the service."""
    with psycopg.connect(conninfo(cluster), autocommit=True) as connection:
        connection.execute(psycopg.sql.SQL("create database {}").format(psycopg.sql.Identifier(name)))
    owner = cluster.set(database=name)
    return owner, prepare_database(owner)


def fill(owner: URL, events: int, chunk: int, length: int = 5, stream: str | None = None) -> Iterator[int]:
    """Insert events in streams of a length, a commit per chunk; yields how many are there after each."""
    given = {"from": time.time_ns() // 1_000_000 - events, "length": length, "stream": stream, "seed": stream or "many"}
    with psycopg.connect(conninfo(owner), autocommit=True) as connection:
        connection.execute(ORDERED_ID)
        for first in range(0, events, chunk):
            last = min(first + chunk, events)
            connection.execute(EVENTS, given | {"first": first, "last": last})
            yield last


def settle(owner: URL) -> None:
    """Do at once what the server would do soon: nothing of the filling is left to be done while we measure."""
    with psycopg.connect(conninfo(owner), autocommit=True) as connection:
        connection.execute("vacuum (analyze) amends.events")
        connection.execute("checkpoint")
