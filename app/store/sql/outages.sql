-- name: report
-- What an executor knows of providers that are down, all of it: whatever it does not name has answered.
with gone as (
    delete from amends.outages where executor = %(executor)s and provider <> all (%(providers)s::text[])
)
insert into amends.outages (provider, executor, down_since, error, waiting)
select o.provider, %(executor)s, o.down_since, o.error, o.waiting
  from jsonb_to_recordset(%(outages)s::jsonb) as o (provider text, down_since timestamptz, error text, waiting int)
on conflict (provider, executor) do update
   set down_since = excluded.down_since, error = excluded.error, waiting = excluded.waiting,
       reported_at = clock_timestamp()

-- name: outages
-- Providers that are down, one line each, as the living executors see it.
select o.provider, min(o.down_since) as down_since, sum(o.waiting)::int as waiting, max(o.error) as error
  from amends.outages as o join amends.executors as x on x.id = o.executor
 where x.ended_at is null
 group by o.provider order by o.provider
