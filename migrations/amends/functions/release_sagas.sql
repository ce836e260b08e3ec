-- Gives back to the queue what these executors were running, and counts who died without progress. A saga whose row is
-- locked stays: release_orphans gives it back later.
create or replace function amends.release_sagas(p_executors text[], p_died boolean) returns int language plpgsql as $$
declare
    v_released text[];
    v_executors text[];
begin
    with free as materialized (
        select workflow_uuid, executor_id from dbos.workflow_status
         where status = 'PENDING' and application_name = 'amends' and executor_id = any (p_executors)
           for no key update skip locked
    ), released as (
        update dbos.workflow_status as w
           set status = 'ENQUEUED', executor_id = null, owner_xid = null, started_at_epoch_ms = null, queue_name = 'amends',
               updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
         where w.workflow_uuid = any (array(select free.workflow_uuid from free))
        returning w.workflow_uuid
    )
    select coalesce(array_agg(r.workflow_uuid), '{}'), array_agg(f.executor_id) into v_released, v_executors
      from released as r join free as f using (workflow_uuid);
    if p_died then
        update amends.sagas as s
           set takeovers = case when s.progress = v.version then s.takeovers + 1 else 1 end, progress = v.version,
               not_before = case when s.progress = v.version and s.takeovers >= 5
                                 then clock_timestamp() + least(2 ^ (s.takeovers - 5), 60) * interval '1 second' end,
               executions = amends.end_execution(s.executions, clock_timestamp(), v.ended_by)
          from (select r.id, case when x.id is null then 'unknown-executor' when x.ended_by = 'itself' then 'handed-over'
                                  when x.lease_until < x.ended_at then 'lease-over' else 'executor-gone' end as ended_by,
                       (select coalesce(max(e.version), 0)
                                from amends.events as e where e.stream = 'saga-' || r.id) as version
                  from unnest(v_released, v_executors) as r (id, executor)
                  left join amends.executors as x on x.id = r.executor) as v
         where s.id = v.id;
    end if;
    return cardinality(v_released);
end $$;
