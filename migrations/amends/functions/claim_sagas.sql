-- Claims queued sagas that this executor has code for, oldest first, if it is alive itself. Whoever finds nothing to claim
-- writes nothing: a lock on a row is written too, and its commit would wait for a standby. And a claim keeps no heartbeat
-- waiting, only whoever ends the executor.
create or replace function amends.claim_sagas(p_executor text, p_owner text, p_kinds text[], p_limit int)
returns table (id text, name text, inputs text, takeovers int) language plpgsql as $$
#variable_conflict use_column
declare
    v_held text[] := amends.hold_starts(p_kinds, 500);
begin
    if not exists (select from dbos.workflow_status as w join amends.sagas as s on s.id = w.workflow_uuid
                    where w.queue_name = 'amends' and w.status = 'ENQUEUED' and s.name || ':' || s.version = any (p_kinds)
                      and (s.not_before is null or s.not_before < clock_timestamp())
                      and (s.status <> 'queued' or s.name || ':' || s.version <> all (v_held) or amends.must_begin(s))) then
        return;
    end if;
    perform from amends.executors where id = p_executor and ended_at is null and lease_until > clock_timestamp() for key share;
    if not found then return; end if;
    return query
    with candidate as materialized (
        select w.workflow_uuid from dbos.workflow_status as w join amends.sagas as s on s.id = w.workflow_uuid
         where w.queue_name = 'amends' and w.status = 'ENQUEUED' and s.name || ':' || s.version = any (p_kinds)
           and (s.not_before is null or s.not_before < clock_timestamp())
           and (s.status <> 'queued' or s.name || ':' || s.version <> all (v_held) or amends.must_begin(s))
         order by w.priority, w.created_at limit p_limit for no key update of w skip locked
    ), claimed as (
        update dbos.workflow_status as w
           set status = 'PENDING', executor_id = p_executor, owner_xid = p_owner,
               recovery_attempts = coalesce(w.recovery_attempts, 0) + 1,
               started_at_epoch_ms = (extract(epoch from clock_timestamp()) * 1000)::bigint,
               updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
          from candidate as c where w.workflow_uuid = c.workflow_uuid
        returning w.workflow_uuid, w.name
    ), running as (
        update amends.sagas as s
           set status = case when s.status = 'queued' then 'running' else s.status end,
               since = case when s.status = 'queued' then clock_timestamp() else s.since end,
               was_settled = s.settled, settled = false
          from claimed as c where s.id = c.workflow_uuid
    )
    select c.workflow_uuid, c.name, i.inputs, s.takeovers
      from claimed as c
      join dbos.workflow_input as i on i.workflow_uuid = c.workflow_uuid
      join amends.sagas as s on s.id = c.workflow_uuid;
end $$;
