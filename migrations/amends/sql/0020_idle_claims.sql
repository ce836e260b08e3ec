-- Whoever finds nothing to claim writes nothing: a lock on a row is written too, and its commit would wait for a standby. And
-- a claim keeps no heartbeat waiting, only whoever ends the executor.

-- Takes some of the sagas that wait for a provider, those first that were let go on longest ago, if this executor lives.
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
        update amends.sagas set was_settled = settled, settled = false where id = any (v_taken)
    )
    select c.workflow_uuid, c.name, i.inputs
      from claimed as c join dbos.workflow_input as i on i.workflow_uuid = c.workflow_uuid;
end $$;

-- Claims queued sagas that this executor has code for, oldest first, if it is alive itself.
create or replace function amends.claim_sagas(p_executor text, p_owner text, p_kinds text[], p_limit int)
returns table (id text, name text, inputs text, takeovers int) language plpgsql as $$
#variable_conflict use_column
begin
    if not exists (select from dbos.workflow_status as w join amends.sagas as s on s.id = w.workflow_uuid
                    where w.queue_name = 'amends' and w.status = 'ENQUEUED' and s.name || ':' || s.version = any (p_kinds)
                      and (s.not_before is null or s.not_before < clock_timestamp())) then
        return;
    end if;
    perform from amends.executors where id = p_executor and ended_at is null and lease_until > clock_timestamp() for key share;
    if not found then return; end if;
    return query
    with candidate as materialized (
        select w.workflow_uuid from dbos.workflow_status as w join amends.sagas as s on s.id = w.workflow_uuid
         where w.queue_name = 'amends' and w.status = 'ENQUEUED' and s.name || ':' || s.version = any (p_kinds)
           and (s.not_before is null or s.not_before < clock_timestamp())
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

-- Ends executors, each once, and releases what they ran; what blocked their event loops is put on record. An executor that
-- finds itself ended gives up what it runs. Their rows are locked as a whole: nothing is claimed for them meanwhile.
create or replace function amends.end_executors(p_executors text[], p_by text, p_died boolean) returns int language plpgsql as $$
declare
    v_streams text[];
    v_ended text[];
    v_blocked jsonb[];
begin
    select array_agg('saga-' || (blocked ->> 'saga')) into v_streams
      from amends.executors where id = any (p_executors) and ended_at is null and blocked is not null;
    if v_streams is not null then
        perform amends.lock_streams(v_streams);
    end if;
    perform from amends.executors where id = any (p_executors) and ended_at is null order by id for update;
    with ended as (
        update amends.executors set ended_at = clock_timestamp(), ended_by = p_by
         where id = any (p_executors) and ended_at is null returning id, blocked
    )
    select coalesce(array_agg(id), '{}'), array_agg(blocked) filter (where blocked is not null)
      into v_ended, v_blocked from ended;
    for n in 1 .. coalesce(cardinality(v_blocked), 0) loop
        if 'saga-' || (v_blocked[n] ->> 'saga') <> all (coalesce(v_streams, '{}')) then
            raise exception 'an executor was blocked since the locks were chosen' using errcode = 'serialization_failure';
        end if;
        perform amends.record_blocked(v_blocked[n]);
    end loop;
    return amends.release_sagas(v_ended, p_died);
end $$;
