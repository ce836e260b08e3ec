-- name: newest_position
-- How far positions have got.
select coalesce(max(position), 0) as position from amends.events

-- name: open_sagas
-- How many sagas are not finished, in every status that one can have then.
select each as status, found.count
  from unnest(array['queued', 'running', 'waiting', 'compensating', 'stuck', 'stranded', 'abandoned']) as each
 cross join lateral (select count(*) as count from amends.sagas as s where s.status = each) as found

-- name: executors
-- How many executors live.
select count(*) as alive from amends.executors where ended_at is null and lease_until > clock_timestamp()

-- name: recorded_blocks
-- How often code of sagas has blocked an event loop for longer than a lease, by saga and step.
select s.name, coalesce(e.data ->> 'step', 'run') as step, count(*) as count
  from amends.events as e join amends.sagas as s on s.id = e.metadata ->> 'workflow_id'
 where e.type = 'event-loop-blocked'
 group by 1, 2
