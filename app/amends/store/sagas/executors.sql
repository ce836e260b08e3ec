-- name: register
-- A new executor, with its first lease; answers with the database's time.
with made as (
    insert into amends.executors (id, machine, pid, born, kinds, lease_until)
    values (%(id)s, %(machine)s, %(pid)s, %(born)s, %(kinds)s, clock_timestamp() + %(lease)s)
    on conflict (id) do nothing
)
select clock_timestamp()

-- name: renew
-- A heartbeat; answers with the database's time, or with no row if the lease was taken away. It waits for no standby.
update amends.executors as x set renewed_at = clock_timestamp(), lease_until = clock_timestamp() + %(lease)s
  from (select case when current_setting('synchronous_commit') <> 'off'
                    then set_config('synchronous_commit', 'local', true) end) as waits
 where x.id = %(id)s and x.ended_at is null
returning clock_timestamp()

-- name: others
-- The other executors that nobody has ended yet.
select id, machine, pid, born as process_started_at, lease_until < clock_timestamp() as expired
  from amends.executors where ended_at is null and id <> %s

-- name: end_executors
-- End executors and put what they ran back into the queue.
select amends.end_executors(%s::text[], %s, %s)
