-- name: server
-- What the server promises.
select current_setting('server_version') as version, current_setting('fsync') as fsync,
       current_setting('synchronous_commit') as synchronous_commit

-- name: executors
-- Who runs sagas, and whose heartbeat is overdue.
select id, lease_until < clock_timestamp() as late from amends.executors where ended_at is null order by id

-- name: sagas
-- How many sagas there are in each status in which something is still to happen, and about how many there are at all.
select each as status, found.count, each in ('stuck', 'stranded', 'abandoned') as needs_somebody,
       (select greatest(c.reltuples, 0)::bigint from pg_class as c where c.oid = 'amends.sagas'::regclass) as about
  from unnest(array['queued', 'running', 'waiting', 'compensating', 'stuck', 'stranded', 'abandoned']) as each
 cross join lateral (select count(*) as count from amends.sagas as s where s.status = each) as found
