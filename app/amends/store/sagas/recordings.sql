-- name: recordings
-- A page of unfinished sagas in the order of their ids, each as its next execution would read it; see `replay_state` in
-- sagas.sql. Whoever takes one over finds as its last execution left it: `settled` becomes `was_settled` with a claim.
select s.id, s.name, s.version, s.root, s.parent, s.status, s.takeovers, s.deadline_at, s.provider, s.settled, i.inputs,
       (select max(o.function_id) from dbos.operation_outputs as o where o.workflow_uuid = s.id) as last,
       (select coalesce(jsonb_agg(jsonb_build_array(c.slot, c.name, c.output, c.error, c.started, c.completed)
                                  order by c.slot), '[]')
          from amends.checkpoints(s.id, -1, %(rows)s, %(bytes)s) as c) as checkpoints,
       (select max(e.version) from amends.events as e where e.stream = 'saga-' || s.id) as newest,
       (select coalesce(jsonb_agg(jsonb_build_array(t.id, t.type, t.schema_version, t.data) order by t.version), '[]')
          from amends.told(s.id, 0, %(rows)s, %(bytes)s) as t) as told,
       (select coalesce(jsonb_agg(jsonb_build_array(e.data) order by e.transaction_id, e.position), '[]')
          from amends.sagas as kin join amends.events as e on e.stream = 'saga-' || kin.id
         where kin.root = s.root and kin.id <> s.id and e.type = 'step-compensated') as undone
  from (select * from amends.sagas
         where {which} and (%(statuses)s::text[] is null or status = any (%(statuses)s)) order by id limit %(limit)s) as s
  join dbos.workflow_input as i on i.workflow_uuid = s.id
 order by s.id

-- name: count
-- How many sagas are unfinished.
select count(*) from amends.sagas where status = any (%(statuses)s)

-- name: sample
-- Unfinished sagas, spread: types and versions take turns, and each gives one saga of each point where some stand, before
-- it gives a second one of any. A point is the status and the last checkpoint.
with found as (
    select s.id, s.name, s.version, s.status, o.function_id as slot, o.function_name as step
      from amends.sagas as s
      left join lateral (select function_id, function_name from dbos.operation_outputs
                          where workflow_uuid = s.id order by function_id desc limit 1) as o on true
     where s.status = any (%(statuses)s)
), numbered as (
    select found.*, row_number() over (partition by name, version, status, slot, step order by id) as nth from found
), turns as (
    select id, name, version,
           row_number() over (partition by name, version order by nth, slot nulls first, status, step, id) as turn
      from numbered
)
select id from turns order by turn, name, version limit %(size)s

-- name: served
-- What executors that run have code for, as name:version; no row if none runs.
select distinct unnest(kinds) from amends.executors where ended_at is null and lease_until > clock_timestamp()

-- name: other_versions
-- A page of unfinished sagas of a name, of other versions than this one, in the order of their ids.
select id from amends.sagas
 where name = %(name)s and version <> %(version)s and id > %(after)s and status = any (%(statuses)s)
 order by id limit %(limit)s
