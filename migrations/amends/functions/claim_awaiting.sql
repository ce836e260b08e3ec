-- Takes some of the sagas that wait for a provider, those first that were let go on longest ago, if this executor lives. As in
-- claim_sagas, whoever finds nothing writes nothing.
create or replace function amends.claim_awaiting(p_executor text, p_owner text, p_provider text, p_kinds text[], p_limit int, p_patience double precision)
returns table (id text, name text, inputs text) language plpgsql as $$
#variable_conflict use_column
declare
    v_saga text;
    v_taken text[] := '{}';
begin
    if not exists (select from amends.sagas as s
                    where s.provider = p_provider and s.status in ('running', 'compensating')
                      and s.name || ':' || s.version = any (p_kinds)
                      and s.since <= clock_timestamp() - make_interval(secs => p_patience)) then
        return;
    end if;
    perform from amends.executors where id = p_executor and ended_at is null and lease_until > clock_timestamp() for key share;
    if not found then return; end if;
    -- One after the other, in the order of the index: a join would be planned for all that rest.
    for v_saga in
        select s.id from amends.sagas as s
         where s.provider = p_provider and s.status in ('running', 'compensating')
           and s.name || ':' || s.version = any (p_kinds)
           and s.since <= clock_timestamp() - make_interval(secs => p_patience)
         order by s.since
    loop
        perform from dbos.workflow_status as w
          where w.workflow_uuid = v_saga and w.status = 'PENDING' and w.executor_id = 'parked'
            for no key update skip locked;
        if found then v_taken := v_taken || v_saga; end if;
        exit when cardinality(v_taken) >= p_limit;
    end loop;
    return query
    with claimed as (
        update dbos.workflow_status as w
           set executor_id = p_executor, owner_xid = p_owner, recovery_attempts = coalesce(w.recovery_attempts, 0) + 1,
               started_at_epoch_ms = (extract(epoch from clock_timestamp()) * 1000)::bigint,
               updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
         where w.workflow_uuid = any (v_taken)
        returning w.workflow_uuid, w.name
    ), taken as (
        update amends.sagas
           set was_settled = settled, settled = false,
               executions = amends.begin_execution(executions, p_executor, clock_timestamp(), clock_timestamp())
         where id = any (v_taken)
    )
    select c.workflow_uuid, c.name, i.inputs
      from claimed as c join dbos.workflow_input as i on i.workflow_uuid = c.workflow_uuid;
end $$;
