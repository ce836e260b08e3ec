-- Takes stranded sagas that this executor has code for and has not tried, if it lives: its code may fit where another one's
-- did not. Those that were stranded first come first. As in claim_sagas, whoever finds nothing writes nothing.
create or replace function amends.claim_incompatible(p_executor text, p_owner text, p_kinds text[], p_limit int, p_tried text[])
returns table (id text, name text, inputs text) language plpgsql as $$
#variable_conflict use_column
begin
    if not exists (select from amends.sagas as s join dbos.workflow_status as w on w.workflow_uuid = s.id
                    where s.status = 'stranded' and s.name || ':' || s.version = any (p_kinds) and not exists (select from unnest(p_tried) as t (saga) where t.saga = s.id)
                      and w.status = 'PENDING' and w.executor_id = 'parked') then
        return;
    end if;
    perform from amends.executors where id = p_executor and ended_at is null and lease_until > clock_timestamp() for key share;
    if not found then return; end if;
    return query
    with candidate as materialized (
        select w.workflow_uuid from amends.sagas as s join dbos.workflow_status as w on w.workflow_uuid = s.id
         where s.status = 'stranded' and s.name || ':' || s.version = any (p_kinds) and not exists (select from unnest(p_tried) as t (saga) where t.saga = s.id)
           and w.status = 'PENDING' and w.executor_id = 'parked'
         order by s.since, s.id limit p_limit for no key update of w skip locked
    ), claimed as (
        update dbos.workflow_status as w
           set executor_id = p_executor, owner_xid = p_owner, recovery_attempts = coalesce(w.recovery_attempts, 0) + 1,
               started_at_epoch_ms = (extract(epoch from clock_timestamp()) * 1000)::bigint,
               updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
          from candidate as c where w.workflow_uuid = c.workflow_uuid
        returning w.workflow_uuid, w.name
    ), taken as (
        update amends.sagas as s
           set was_settled = s.settled, settled = false,
               executions = amends.begin_execution(s.executions, p_executor, clock_timestamp(), clock_timestamp())
          from claimed as c where s.id = c.workflow_uuid
    )
    select c.workflow_uuid, c.name, i.inputs
      from claimed as c join dbos.workflow_input as i on i.workflow_uuid = c.workflow_uuid;
end $$;
