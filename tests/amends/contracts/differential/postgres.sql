-- name: clock
-- A clock that stands still until it is told the time. Defaults of columns have chosen their clock when they were made.
create schema fake;
create table fake.clock as select timestamptz '2026-01-01' as at;
create function fake.clock_timestamp() returns timestamptz language sql volatile as 'select at from fake.clock';
create function fake.us(at timestamptz) returns bigint language sql immutable
    as 'select (extract(epoch from at) * 1000000)::bigint';
create function fake.now() returns timestamptz language sql volatile as 'select at from fake.clock';
grant usage on schema fake to public;
grant select on fake.clock to public;
alter table amends.events disable trigger all;
alter table amends.events alter recorded_at set default fake.clock_timestamp();
alter table amends.sagas alter started_at set default fake.clock_timestamp(), alter since set default fake.clock_timestamp();
alter table amends.brakes alter set_at set default fake.clock_timestamp();
alter table amends.causes alter first_at set default fake.clock_timestamp();
alter table amends.executors alter started_at set default fake.clock_timestamp(),
                             alter renewed_at set default fake.clock_timestamp();
alter table dbos.workflow_status alter created_at set default (extract(epoch from fake.now()) * 1000)::bigint,
                                 alter updated_at set default (extract(epoch from fake.now()) * 1000)::bigint

-- name: as_told
-- Sessions from now on go by it.
do $$ begin execute format('alter database %I set search_path = fake, pg_catalog, public', current_database()); end $$

-- name: tell_time
update fake.clock set at = %s

-- name: empty
-- Everything is gone, events too.
truncate amends.events, amends.sagas, amends.causes, amends.brakes, amends.executors, amends.outages, amends.requests, amends.snapshots,
         dbos.workflow_status, dbos.workflow_input, dbos.workflow_output, dbos.operation_outputs restart identity cascade

-- name: count
select count(*) as events from amends.events

-- name: dequeue
-- What DBOS's own queue does to the rows of workflows that it is about to run.
with taken as (
    update dbos.workflow_status
       set status = 'PENDING', executor_id = %(executor)s, owner_xid = %(owner)s,
           started_at_epoch_ms = (extract(epoch from fake.now()) * 1000)::bigint,
           updated_at = (extract(epoch from fake.now()) * 1000)::bigint
     where status = 'ENQUEUED' and queue_name = '_dbos_internal_queue'
    returning workflow_uuid as id, created_at
)
select id from taken order by created_at

-- name: state
-- Every row but the events, as the store in memory has them; times are microseconds.
select jsonb_build_object(
    'sagas', (select coalesce(jsonb_object_agg(s.id, to_jsonb(s) || jsonb_build_object(
        'started_at', fake.us(s.started_at), 'since', fake.us(s.since), 'finished_at', fake.us(s.finished_at),
        'not_before', fake.us(s.not_before), 'due_at', fake.us(s.due_at), 'deadline_at', fake.us(s.deadline_at),
        'provider_since', fake.us(s.provider_since), 'brake_since', fake.us(s.brake_since))), '{}') from amends.sagas as s),
    'brakes', (select coalesce(jsonb_object_agg(b.id, to_jsonb(b) || jsonb_build_object(
        'set_at', fake.us(b.set_at), 'lifted_at', fake.us(b.lifted_at))), '{}') from amends.brakes as b),
    'causes', (select coalesce(jsonb_object_agg(c.id, to_jsonb(c) || jsonb_build_object('first_at', fake.us(c.first_at))), '{}')
                 from amends.causes as c),
    'workflows', (select coalesce(jsonb_object_agg(w.workflow_uuid, jsonb_build_object(
        'id', w.workflow_uuid, 'name', w.name, 'inputs', i.inputs, 'created_at', w.created_at * 1000,
        'updated_at', w.updated_at * 1000, 'status', w.status, 'executor', w.executor_id, 'owner', w.owner_xid,
        'queue', w.queue_name, 'attempts', w.recovery_attempts, 'started_at', w.started_at_epoch_ms * 1000,
        'completed_at', w.completed_at * 1000, 'parent', w.parent_workflow_id, 'forked_from', w.forked_from,
        'output', o.output, 'error', o.error,
        'checkpoints', (select coalesce(jsonb_object_agg(c.function_id, jsonb_build_object(
             'step_id', c.function_id, 'name', c.function_name, 'output', c.output, 'error', c.error,
             'started_at', c.started_at_epoch_ms * 1000, 'completed_at', c.completed_at_epoch_ms * 1000)), '{}')
                          from dbos.operation_outputs as c where c.workflow_uuid = w.workflow_uuid))), '{}')
                    from dbos.workflow_status as w
                    left join dbos.workflow_input as i using (workflow_uuid)
                    left join dbos.workflow_output as o using (workflow_uuid)),
    'executors', (select coalesce(jsonb_object_agg(x.id, jsonb_build_object(
        'id', x.id, 'machine', x.machine, 'pid', x.pid, 'process_started_at', x.born, 'saga_types', x.kinds,
        'started_at', fake.us(x.started_at), 'renewed_at', fake.us(x.renewed_at), 'lease_until', fake.us(x.lease_until),
        'ended_at', fake.us(x.ended_at), 'ended_by', x.ended_by)), '{}') from amends.executors as x),
    'outages', (select coalesce(jsonb_object_agg(u.provider || ' by ' || u.executor,
                                                 jsonb_build_array(fake.us(u.down_since), u.error)), '{}') from amends.outages as u),
    'answers', (select coalesce(jsonb_object_agg(r.key, jsonb_build_array(r.digest, r.answer)), '{}')
                  from amends.requests as r)) as state
