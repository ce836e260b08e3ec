"""A store of many millions of events, made without its indexes and given them afterwards: that is quicker by far."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
from sqlalchemy import URL

from app.amends.postgres.urls import conninfo
from benchmarks.store.filling import settle

CHUNK = 200_000
RARE = 200
"""So many events are of the rare type, and of a story, however many there are: half of them lie behind the middle."""
ROWS = 20 / 28
"""The rows take so much of the time, the indexes the rest."""

EVENTS = """
insert into amends.events (id, stream, version, type, schema_version, data, metadata, recorded_at,
                           transaction_id, generation)
select (lpad(to_hex(n), 8, '0') || '-0000-7000-8000-' || left(md5(n::text), 12))::uuid,
       case when n %% 5 = 0 then 'account-long' else 'order-' || (n - n %% 20) / 20 || '-' || n %% 5 end,
       case when n %% 5 = 0 then n / 5 else n %% 20 / 5 + 1 end,
       case when n %% %(apart)s = 7 then 'rare-thing' when n %% 2 = 0 then 'money-deposited' else 'order-placed' end,
       1, '{"amount": 5}',
       jsonb_build_object('correlation_id', case when n %% 10 = 0 then 'everything'
                                                 when n %% %(apart)s = 13 then 'rare-story' else 'c-' || n / 40 end,
                          'workflow_id', 's-' || n / 40),
       timestamptz '2026-01-01' + n * interval '1 second', (1000 + n / 10)::text::xid8,
       case when n < %(events)s * 3 / 10 then 1 else 2 end
  from generate_series(%(first)s::bigint, %(last)s::bigint) as n
 order by n
"""
INDEXES = """
select c.oid::regclass::text, pg_get_indexdef(c.oid)
  from pg_index as i join pg_class as c on c.oid = i.indexrelid
 where i.indrelid = 'amends.events'::regclass and not exists (select from pg_constraint as k where k.conindid = c.oid)
"""


def fill(owner: URL, events: int) -> Iterator[float]:
    """Fill an empty store; yields the share that is done after each piece.

    Every event is from before a restored backup, so that all of them are seen.
    """
    with psycopg.connect(conninfo(owner), autocommit=True) as connection:
        indexes = connection.execute(INDEXES).fetchall()
        for name, _ in indexes:
            connection.execute(f"drop index {name}".encode())
        for first in range(1, events + 1, CHUNK):
            last = min(first + CHUNK - 1, events)
            given = {"events": events, "apart": events // RARE, "first": first, "last": last}
            connection.execute(EVENTS, given)
            yield last / events * ROWS
        for number, (_, definition) in enumerate(indexes, 1):
            connection.execute(definition)
            yield ROWS + (1 - ROWS) * number / (len(indexes) + 1)
        connection.execute("select amends.open_generation('restored'), amends.open_generation('restored again')")
    settle(owner)
    yield 1.0


def cursor(number: int) -> tuple[int, int, int]:
    """Where in the feed the event with this number stands, if it is one of the later seven tenths."""
    return 2, 1000 + number // 10, number
