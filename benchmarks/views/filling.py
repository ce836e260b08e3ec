"""Events of accounts that take turns: of so many in a row, each is about another row of the read model."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
from sqlalchemy import URL

from app.amends.postgres.urls import conninfo
from benchmarks.store.filling import settle

EVENTS = """
insert into amends.events (id, stream, version, type, schema_version, data, metadata)
select gen_random_uuid(), 'account-' || i %% %(rows)s, i / %(rows)s + 1,
       case when i < %(rows)s then 'account-opened' else 'money-deposited' end, 1,
       case when i < %(rows)s
            then jsonb_build_object('account_id', (i %% %(rows)s)::text, 'owner', 'Ada', 'currency', 'EUR',
                                    'opening_balance', 0)
            else '{"amount": 1}' end,
       '{"actor": "anonymous"}'
  from generate_series(%(first)s::int, %(last)s::int - 1) as i
 order by i"""
CHUNK = 20_000


def fill(owner: URL, rows: int, events: int) -> Iterator[int]:
    """Insert so many events about so many accounts, a commit per chunk; yields how many are there after each."""
    with psycopg.connect(conninfo(owner), autocommit=True) as connection:
        for first in range(0, events, CHUNK):
            last = min(first + CHUNK, events)
            connection.execute(EVENTS, {"rows": rows, "first": first, "last": last})
            yield last
    settle(owner)
