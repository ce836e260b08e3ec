-- name: report
-- What an executor knows of providers that are down, all of it: whatever it does not name has answered. What executors
-- said that have ended is news no more once somebody who lives says the same, or that it has answered.
with gone as (
    delete from amends.outages as o
     where (o.executor = %(executor)s and o.provider <> all (%(providers)s::text[]))
        or (o.provider = any (%(known)s::text[])
            and exists (select from amends.executors as x where x.id = o.executor and x.ended_at is not null))
)
insert into amends.outages (provider, executor, down_since, error)
select o.provider, %(executor)s, o.down_since, o.error
  from jsonb_to_recordset(%(outages)s::jsonb) as o (provider text, down_since timestamptz, error text)
on conflict (provider, executor) do update
   set down_since = excluded.down_since, error = excluded.error, reported_at = clock_timestamp()

-- name: outages
-- Providers that are down, one line each, as the living executors see it, and how many sagas wait for each.
select o.provider, min(o.down_since) as down_since, max(o.error) as error,
       (select count(*)::int from amends.sagas as s where s.provider = o.provider and s.status in ('running', 'compensating')) as waiting
  from amends.outages as o join amends.executors as x on x.id = o.executor
 where x.ended_at is null
 group by o.provider order by o.provider

-- name: awaiting
-- How many sagas wait for which provider, down or just back.
select provider, count(*)::int as sagas, min(provider_since) as since
  from amends.sagas where provider is not null and status in ('running', 'compensating') group by provider order by provider
