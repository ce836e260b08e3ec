-- Gives back to the queue what these executors were running, and counts who died without progress. A saga whose row is
-- locked stays: release_orphans gives it back later.
create or replace function amends.release_sagas(p_executors text[], p_died boolean) returns int language plpgsql as $$
declare
    v_released text[];
begin
    with free as materialized (
        select workflow_uuid from dbos.workflow_status
         where status = 'PENDING' and application_name = 'amends' and executor_id = any (p_executors)
           for no key update skip locked
    ), released as (
        update dbos.workflow_status as w
           set status = 'ENQUEUED', executor_id = null, owner_xid = null, started_at_epoch_ms = null, queue_name = 'amends',
               updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
         where w.workflow_uuid = any (array(select free.workflow_uuid from free))
        returning w.workflow_uuid
    )
    select coalesce(array_agg(workflow_uuid), '{}') into v_released from released;
    if p_died then
        update amends.sagas as s
           set takeovers = case when s.progress = v.version then s.takeovers + 1 else 1 end, progress = v.version,
               not_before = case when s.progress = v.version and s.takeovers >= 5
                                 then clock_timestamp() + least(2 ^ (s.takeovers - 5), 60) * interval '1 second' end
          from (select r.id, (select coalesce(max(e.version), 0)
                                from amends.events as e where e.stream = 'saga-' || r.id) as version
                  from unnest(v_released) as r (id)) as v
         where s.id = v.id;
    end if;
    return cardinality(v_released);
end $$;
