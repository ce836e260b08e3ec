-- name: commit_step
-- One commit of a saga: events, checkpoint, status, fenced by its owner. See the function's comment.
select outcome, stream, expected, actual
  from amends.commit_step(%s, %s, %s::jsonb, %s::jsonb, %s::jsonb, %s, %s, %s, %s::jsonb, %s::jsonb, %s::uuid[])
 where amends.durable()

-- name: start_saga
-- Start a saga, once per id.
select outcome, name, version
  from amends.start_saga(%(id)s, %(name)s, %(version)s, %(reference)s, %(correlation)s, %(request)s, %(inputs)s,
                         %(events)s::jsonb, %(executor)s, %(owner)s, %(deadline)s, %(parent)s)
 where amends.durable()

-- name: recorded_start
-- What a saga was started with.
select s.name, s.version, i.inputs, s.start_brake is not null as held
  from amends.sagas as s join dbos.workflow_input as i on i.workflow_uuid = s.id where s.id = %s

-- name: claim_sagas
-- Claim queued sagas for an executor.
select id, name, inputs, takeovers from amends.claim_sagas(%s, %s, %s::text[], %s)

-- name: brakes
-- The brakes in force, and whether sagas wait at others: the brakes at which some wait are found by one look each.
with recursive waited as (
    (select brake from amends.sagas where brake is not null order by brake limit 1)
    union all
    select (select s.brake from amends.sagas as s where s.brake > w.brake order by s.brake limit 1)
      from waited as w where w.brake is not null
)
select (select coalesce(jsonb_agg(to_jsonb(b) order by b.set_at, b.id), '[]')
          from amends.brakes as b where b.lifted_at is null) as brakes,
       exists (select from waited as w where w.brake is not null
                  and not exists (select from amends.brakes as b where b.id = w.brake and b.lifted_at is null)) as lifted

-- name: release_held
-- Queue sagas whose brake is not in force any more.
select amends.release_held(%s)

-- name: act_on_saga
-- An operator's action on a suspended saga.
select outcome, status, place, digest, answer
  from amends.act_on_saga(%s, %s, %s::text[], %s::jsonb, %s, %s::jsonb, %s)
 where amends.durable()

-- name: signal_saga
-- A signal to a saga.
select outcome, status, place, digest, answer from amends.signal_saga(%s, %s, %s::jsonb, %s::jsonb)
 where amends.durable()

-- name: cancel_saga
-- Request the cancellation of a saga.
select outcome, status, place, digest, answer from amends.cancel_saga(%s, %s::text[], %s, %s::jsonb, %s::jsonb)
 where amends.durable()

-- name: migrate_saga
-- Let a saga go on with another version of its code.
select outcome, status, place, digest, answer from amends.migrate_saga(%s, %s, %s, %s, %s::jsonb, %s::jsonb)
 where amends.durable()

-- name: claim_awaiting
-- Claim sagas that wait for a provider.
select id, name, inputs from amends.claim_awaiting(%s, %s, %s, %s::text[], %s, %s)

-- name: awaited
-- Providers that sagas wait for, and those that other executors report as down, with their errors.
with recursive awaited as (
    (select provider from amends.sagas where provider is not null and status in ('running', 'compensating')
      order by provider limit 1)
    union all
    select (select s.provider from amends.sagas as s
             where s.provider > a.provider and s.status in ('running', 'compensating') order by s.provider limit 1)
      from awaited as a where a.provider is not null
)
select coalesce(a.provider, o.provider) as provider, a.provider is not null as awaited, o.down_since, o.error
  from (select provider from awaited where provider is not null) as a
  full join (select provider, min(down_since) as down_since, max(error) as error
               from amends.outages where executor <> %s group by provider) as o using (provider)

-- name: cancelled
-- Sagas that this executor runs and whose cancellation was requested.
select s.id, s.cancel_reason
  from amends.sagas as s join dbos.workflow_status as w on w.workflow_uuid = s.id
 where s.cancel_reason is not null and s.finished_at is null and w.status = 'PENDING' and w.executor_id = %s

-- name: wake_due
-- Queue sagas whose time has come.
select amends.wake_due(%s)

-- name: replay_state
-- The state that the next execution of a saga replays: all of it in one row, unless there is more than one page of
-- checkpoints or of history; `last` is the number of the last checkpoint, `newest` the version of the last event.
select s.id, s.name, s.version, s.root, s.status, s.takeovers, s.started_at, s.deadline_at, s.cancel_reason,
       s.provider, s.was_settled,
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
  from amends.sagas as s where s.id = %(id)s

-- name: more_checkpoints
-- The next page of checkpoints.
select slot, name, output, error, started, completed
  from amends.checkpoints(%(id)s, %(after)s, %(rows)s, %(bytes)s) order by slot

-- name: more_history
-- The next page of a history.
select id::text, type, schema_version, data, recorded_at
  from amends.told(%(id)s, %(after)s, %(rows)s, %(bytes)s) order by version

-- name: standing
-- The standing of a saga: whether it compensates, and what it got stuck at last.
select s.status, exists (select from amends.events as e
                          where e.stream = 'saga-' || s.id and e.type = 'saga-compensating') as turned_back,
       k.version, k.schema_version, k.data::text
  from amends.sagas as s
  left join lateral (select e.version, e.schema_version, e.data from amends.events as e
                      where e.stream = 'saga-' || s.id and e.type = 'saga-stuck' order by e.version desc limit 1) as k on true
 where s.id = %s

-- name: unsettle
-- Note that a saga runs that was not claimed.
update amends.sagas set settled = false, was_settled = false where id = %s and (settled or was_settled)

-- name: adopt_fork
-- A fork that DBOS's tools made of a saga becomes a saga of ours, with the same root.
insert into amends.sagas (id, name, version, root, reference, status, correlation_id, request, was_settled, actor)
select %(id)s, o.name, o.version, o.root, o.reference, 'running', o.correlation_id, 'fork of ' || o.id, true, o.actor
  from dbos.workflow_status as w join amends.sagas as o on o.id = w.forked_from
 where w.workflow_uuid = %(id)s
on conflict (id) do nothing

-- name: saga
-- One saga's row.
select id, name, version, root, reference, status, reason, correlation_id, started_at, since, finished_at, waiting_for,
       due_at, parent, provider, provider_since, coalesce(cause, compensation_cause) as cause, actor, brake, brake_since,
       (select b.reason from amends.brakes as b where b.id = brake) as brake_reason
  from amends.sagas where id = %s

-- name: saga_with_history
-- One saga's row, the place and the version of its newest event, and the first page of its history.
select s.id, s.name, s.version, s.root, s.reference, s.status, s.reason, s.correlation_id, s.started_at, s.since,
       s.finished_at, s.waiting_for, s.due_at, s.parent, s.provider, s.provider_since,
       coalesce(s.cause, s.compensation_cause) as cause, s.actor, s.brake, s.brake_since,
       (select b.reason from amends.brakes as b where b.id = s.brake) as brake_reason,
       n.generation, n.transaction_id::text::bigint as transaction_id, n.position, n.id as event, n.version as newest,
       (select amends.as_of()) as run,
       (select jsonb_agg(jsonb_build_array(t.id, t.type, t.schema_version, t.data, t.recorded_at) order by t.version)
          from amends.told(s.id, 0, %(rows)s, %(bytes)s) as t) as told
  from amends.sagas as s
  left join lateral (select e.generation, e.transaction_id, e.position, e.id, e.version from amends.events as e
                      where e.stream = 'saga-' || s.id order by e.version desc limit 1) as n on true
 where s.id = %(id)s

-- name: sagas
-- A page of sagas, newest first: those that meet conditions of app/amends/store/sagas/filters.py.
select id, name, version, root, reference, status, reason, correlation_id, started_at, since, finished_at, waiting_for,
       due_at, parent, provider, provider_since, coalesce(cause, compensation_cause) as cause, actor, brake, brake_since,
       (select b.reason from amends.brakes as b where b.id = brake) as brake_reason
  from amends.sagas
 where {conditions}
 order by started_at desc, id desc
 limit %(limit)s

-- name: sagas_of_each
-- The same of sagas with one of some causes, or names: the newest of each, and of these the newest. `between` and the order
-- leave only the index that begins with the column: another one would be read to its end for a value that is rare.
select s.*
  from unnest(%(each)s::text[]) as e (value)
 cross join lateral (
     select id, name, version, root, reference, status, reason, correlation_id, started_at, since, finished_at, waiting_for,
            due_at, parent, provider, provider_since, coalesce(cause, compensation_cause) as cause, actor, brake, brake_since,
            (select b.reason from amends.brakes as b where b.id = brake) as brake_reason
       from amends.sagas
      where {column} between e.value and e.value and {conditions}
      order by {column}, started_at desc, id desc
      limit %(limit)s) as s
 order by s.started_at desc, s.id desc
 limit %(limit)s

-- name: count_sagas
-- How many sagas meet conditions, as far as they are counted: the newest, which the indexes of lists find.
select count(*)::int as count
  from (select from amends.sagas where {conditions} order by started_at desc, id desc limit %(limit)s) as s

-- name: count_sagas_of_each
-- The same of sagas with one of some causes, or names.
select count(*)::int as count
  from (select from unnest(%(each)s::text[]) as e (value)
         cross join lateral (select from amends.sagas where {column} between e.value and e.value and {conditions}
                              order by {column}, started_at desc, id desc limit %(limit)s) as s
         limit %(limit)s) as s

-- name: names_of_version
-- The names of the sagas that have a version, each found with one look at an index.
with recursive present as (
    (select name from amends.sagas where version = %(version)s order by name limit 1)
    union all
    select (select s.name from amends.sagas as s where s.version = %(version)s and s.name > p.name order by s.name limit 1)
      from present as p where p.name is not null
)
select name from present where name is not null

-- name: resting
-- Whether sagas rest by now; one that waits for a child goes on by itself.
select id, status = any (%s::text[]) or (status = 'waiting' and waiting_for not like 'child %%') as rests
  from amends.sagas where id = any (%s::text[])

-- name: without_code
-- Sagas that no living executor has code for: queued ones, those that wait for a provider, and those at a brake.
(select s.id, s.name, s.version
   from dbos.workflow_status as w join amends.sagas as s on s.id = w.workflow_uuid
  where w.queue_name = 'amends' and w.status = 'ENQUEUED' and s.status <> 'stranded'
    and not exists (select from amends.executors as x
                     where x.ended_at is null and s.name || ':' || s.version = any (x.kinds))
  limit 100)
union all
(select s.id, s.name, s.version from amends.sagas as s
  where s.provider is not null and s.status in ('running', 'compensating')
    and not exists (select from amends.executors as x
                     where x.ended_at is null and s.name || ':' || s.version = any (x.kinds))
  limit 100)
union all
(select s.id, s.name, s.version from amends.sagas as s
  where s.brake is not null and s.status in ('queued', 'running', 'compensating')
    and not exists (select from amends.executors as x
                     where x.ended_at is null and s.name || ':' || s.version = any (x.kinds))
  limit 100)

-- name: running
-- Sagas that this executor is recorded as running since a while.
select w.workflow_uuid, w.owner_xid from dbos.workflow_status as w
 where w.status = 'PENDING' and w.executor_id = %s
   and w.updated_at < (extract(epoch from clock_timestamp()) * 1000)::bigint - 5000

-- name: release_one
-- Release one saga that is recorded as ours but is not running here.
update dbos.workflow_status
   set status = 'ENQUEUED', executor_id = null, owner_xid = null, started_at_epoch_ms = null, queue_name = 'amends',
       updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
 where workflow_uuid = %s and status = 'PENDING' and executor_id = %s and owner_xid = %s

-- name: hand_over
-- Release all sagas that are recorded as ours, but for those that still run here or are locked; returns how many.
with free as materialized (
    select workflow_uuid from dbos.workflow_status
     where status = 'PENDING' and application_name = 'amends' and executor_id = %s and workflow_uuid <> all (%s)
       for no key update skip locked
), given as (
    update dbos.workflow_status as w
       set status = 'ENQUEUED', executor_id = null, owner_xid = null, started_at_epoch_ms = null, queue_name = 'amends',
           updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
     where w.workflow_uuid = any (array(select free.workflow_uuid from free))
    returning 1
)
select count(*) from given

-- name: release_orphans
-- Queue sagas that were committed for an executor after it was ended.
select amends.release_orphans()

-- name: resume_lost
-- Queue sagas whose workflow has ended, while the commit that ended them was lost.
select amends.resume_lost()

-- name: ended_abnormally
-- Sagas whose workflow was ended by other means than their own.
select o.id, o.name, o.version, f.status
  from (select s.id, w.status from dbos.workflow_status as w join amends.sagas as s on s.id = w.workflow_uuid
         where s.status in ('queued', 'running', 'waiting', 'compensating', 'stuck', 'stranded')
           and w.status in ('CANCELLED', 'ERROR', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED')
         limit 100) as f
  join amends.sagas as o on o.id = f.id

-- name: claim_incompatible
-- Claim stranded sagas that this executor has code for and has not tried.
select id, name, inputs from amends.claim_incompatible(%s, %s, %s::text[], %s, %s::text[])

-- name: note_saga
-- Append to the history of a saga that nobody runs.
select amends.note_saga(%s, %s::text[], %s::jsonb, %s, %s)

-- name: landed
-- Whether an event was committed, once nobody holds its streams any more.
select landed from amends.landed(%s::text[], %s) as landed where amends.durable()
