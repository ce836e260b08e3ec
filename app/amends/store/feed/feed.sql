-- name: end
-- The place of the last event that readers of the feed may see.
select generation, transaction_id::text::bigint as transaction_id, position, id as event, (select amends.as_of()) as run
  from amends.events as e
 where transaction_id < pg_snapshot_xmin(pg_current_snapshot())
    or generation < (select max(g.generation) from amends.generations as g)
 order by generation desc, e.transaction_id desc, position desc limit 1

-- name: held_back
-- The writing transaction that has been open longest in any database of the server: the feed stops before it. Prepared
-- transactions count too. What of it may not be seen is null.
with holder as (
    select l.pid, l.transactionid from pg_locks as l
     where l.locktype = 'transactionid' and l.mode = 'ExclusiveLock' and l.granted and l.pid is distinct from pg_backend_pid()
     order by age(l.transactionid) desc limit 1
)
select h.pid, h.transactionid::text as xid, p.gid, coalesce(a.application_name, p.owner::text) as who,
       coalesce(a.datname, p.database) as database,
       greatest(extract(epoch from clock_timestamp() - coalesce(a.xact_start, p.prepared)), 0)::float8 as seconds,
       a.wait_event is not distinct from 'SyncRep' as replicates
  from holder as h
  left join pg_stat_activity as a on a.pid = h.pid
  left join pg_prepared_xacts as p on p.transaction = h.transactionid

-- name: gone
-- The numbers of those of these events that are gone, or are not where they were.
select k.number from unnest(%s::uuid[], %s::bigint[]) with ordinality as k (id, position, number)
 where not exists (select from amends.events as e where e.id = k.id and (k.position is null or e.position = k.position))

-- name: note_loss
-- Put on record that events are gone.
select amends.note_loss(%s, %s, %s::text::xid8, %s, %s, %s, %s)

-- name: lost_notes
-- Those of these records of losses that are lost themselves.
select n.id from unnest(%s::bigint[]) as n (id) where not exists (select from amends.losses as l where l.id = n.id)

-- name: losses
-- What was noticed to be gone, the newest first.
select l.noticed_at, l.noticed_by, l.events, l.first, l.last, clock_timestamp() - l.noticed_at < interval '7 days' as recent,
       l.generation || '-' || l.transaction_id || '-' || l.position as stands
  from amends.losses as l order by l.id desc limit %s
