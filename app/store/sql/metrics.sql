-- name: newest_position
-- How far positions have got.
select coalesce(max(position), 0) as position from amends.events

-- name: open_sagas
-- How many sagas are not finished, in every status that one can have then.
select each as status, count(s.id) as count
  from unnest(array['queued', 'running', 'waiting', 'compensating', 'stuck', 'stranded', 'abandoned']) as each
  left join amends.sagas as s on s.status = each
 group by each

-- name: executors
-- How many executors live.
select count(*) as alive from amends.executors where ended_at is null and lease_until > clock_timestamp()
