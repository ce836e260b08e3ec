"""A large store, made without its indexes and given them afterwards: that is quicker by far."""

from __future__ import annotations

import psycopg

EVENTS = """
insert into amends.events (id, stream, version, type, schema_version, data, metadata, recorded_at,
                           transaction_id, generation)
select md5(n::text)::uuid,
       case when n %% 5 = 0 then 'account-long' else 'order-' || (n - n %% 20) / 20 || '-' || n %% 5 end,
       case when n %% 5 = 0 then n / 5 else n %% 20 / 5 + 1 end,
       case when n %% 100000 = 7 then 'rare-thing' when n %% 2 = 0 then 'money-deposited' else 'order-placed' end,
       1, '{"amount": 5}',
       jsonb_build_object('correlation_id', case when n %% 10 = 0 then 'everything' else 'c-' || n / 40 end,
                          'workflow_id', 's-' || n / 40),
       timestamptz '2026-01-01' + n * interval '1 second', (1000 + n / 10)::text::xid8,
       case when n < %(count)s * 3 / 10 then 1 else 2 end
  from generate_series(1, %(count)s) as n
"""
SAGAS = """
insert into amends.sagas (id, name, version, root, reference, status, correlation_id, request, started_at, finished_at,
                          provider, provider_since, actor, cause, compensation_cause)
select 's-' || n, case when n %% 50000 = 3 then 'rare' else 'place-order' end,
       case when n %% 40000 = 6 then 2 else 1 end, 's-' || n, 'r-' || n,
       case when n %% 1000 = 1 then 'waiting' when n %% 5000 = 2 then 'stuck' when n %% 20 = 5 then 'compensated'
            when n %% 50 = 11 then 'running' else 'completed' end,
       'c-' || n, 'digest', timestamptz '2026-01-01' + n * interval '1 second', now(),
       case when n %% 50 = 11 then 'provider-' || n %% 3 end, case when n %% 50 = 11 then now() end,
       case when n %% 40000 = 7 then 'rare' when n %% 3 = 0 then 'batch' else 'shop' end,
       case when n %% 5000 = 2 then 'c-stuck' || n / 50000
            when n %% 50 = 11 then 'c-provider' || n %% 3 end,
       case when n %% 20 = 5 then 'c-back' || case when n < %(count)s / 2 then 1 else n %% 3 + 2 end end
  from generate_series(1, %(count)s) as n
"""
CAUSES = """
insert into amends.causes (id, kind, name, version, step, provider, error)
select 'c-stuck' || n, 'stuck', 'place-order', 1, 'book_courier', null, 'TimeoutError: no answer within … s'
  from generate_series(0, 100) as n
union all
select 'c-provider' || n, 'provider', 'place-order', 1, 'charge_card', 'provider-' || n, null
  from generate_series(0, 2) as n
union all
select 'c-back' || n, 'compensating', 'place-order', 1, null, null, 'card-declined-' || n
  from generate_series(1, 4) as n
"""
WORKFLOWS = """
insert into dbos.workflow_status (workflow_uuid, status, name, executor_id, created_at, updated_at, application_name,
                                  queue_name, priority)
select s.id, case s.status when 'completed' then 'SUCCESS' when 'compensated' then 'ERROR' else 'PENDING' end, s.name,
       case when s.status in ('waiting', 'stuck', 'running') then 'parked' else 'somebody' end,
       n, n, 'amends', 'amends', 0
  from amends.sagas as s cross join lateral (select (extract(epoch from s.started_at) * 1000)::bigint as n) as at
"""


def fill(connection: psycopg.Connection, events: int, sagas: int) -> None:
    """Fill an empty migrated database. Every event is from before a restored backup, so that all of them are seen."""
    tables = ["amends.events", "amends.sagas", "dbos.workflow_status"]
    with connection.transaction():
        later = [statement for table in tables for statement in _without_indexes(connection, table)]
        connection.execute(EVENTS, {"count": events})
        connection.execute(SAGAS, {"count": sagas})
        connection.execute(CAUSES)
        connection.execute(WORKFLOWS)
        for statement in later:
            connection.execute(statement)
        connection.execute("select amends.open_generation('restored'), amends.open_generation('restored again')")
    connection.execute("vacuum analyze amends.events, amends.sagas, amends.causes, dbos.workflow_status")


def _without_indexes(connection: psycopg.Connection, table: str) -> list[str]:
    """Drop the indexes of a table but those of its constraints; returns what makes them again."""
    found = connection.execute(
        """
        select c.oid::regclass::text, pg_get_indexdef(c.oid)
          from pg_index as i join pg_class as c on c.oid = i.indexrelid
         where i.indrelid = %s::regclass and not exists (select from pg_constraint as k where k.conindid = c.oid)
        """,
        (table,),
    ).fetchall()
    for name, _ in found:
        connection.execute(f"drop index {name}".encode())
    return [definition for _, definition in found]
