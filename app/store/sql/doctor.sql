-- name: server
-- What the server promises.
select current_setting('server_version') as version, current_setting('fsync') as fsync,
       current_setting('synchronous_commit') as synchronous_commit

-- name: executors
-- Who runs sagas, and whose heartbeat is overdue.
select id, lease_until < clock_timestamp() as late from amends.executors where ended_at is null order by id

-- name: sagas
-- How many sagas there are in each status.
select status, count(*) as count, status in ('stuck', 'stranded', 'abandoned') as needs_somebody
  from amends.sagas group by status order by status
