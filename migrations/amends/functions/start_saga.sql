-- Starts a saga, once per id; with a deadline in seconds from now if it has one, and as the child of another one if it is
-- one. With an owner it is this executor's from the start, else it is queued.
-- What a brake holds is queued behind it, whoever wanted to run it, or refused; a child is queued in any case.
-- outcome: refused (by the brake in the second column); held (it is queued behind a brake); started (also when the same start is sent again while its owner still has the saga: the answer to the first try
-- was lost); repeated (the same request came before); taken (another request has this id); foreign (a workflow that is no
-- saga of ours has this id).
create or replace function amends.start_saga(
    p_id text, p_name text, p_version int, p_reference text, p_correlation text, p_request text,
    p_inputs text, p_events jsonb, p_executor text, p_owner text, p_deadline interval default null,
    p_parent text default null
) returns table (outcome text, name text, version int) language plpgsql as $$
#variable_conflict use_column
declare
    v_now bigint := (extract(epoch from clock_timestamp()) * 1000)::bigint;
    v_brake amends.brakes;
    v_owner text := p_owner;
begin
    perform amends.lock_streams(array['saga-' || p_id]);
    if exists (select from amends.brakes as b where b.lifted_at is null and b.step is null and b.provider is null) then
        v_brake := amends.start_brake(p_name, p_version);
        if v_brake.id is not null then v_owner := null; end if;
        if v_brake.starts = 'refuse' and p_parent is null
           and not exists (select from dbos.workflow_status as w where w.workflow_uuid = p_id) then
            return query select 'refused', v_brake.id, null::int;
            return;
        end if;
    end if;
    insert into dbos.workflow_status (workflow_uuid, status, name, executor_id, created_at, updated_at,
        started_at_epoch_ms, application_version, application_id, recovery_attempts, queue_name, priority,
        serialization, creator_xid, owner_xid, application_name, parent_workflow_id)
    values (p_id, case when v_owner is null and v_brake.id is null then 'ENQUEUED' else 'PENDING' end, p_name,
        case when v_brake.id is null then p_executor else 'parked' end, v_now, v_now,
        case when v_owner is null then null else v_now end, 'amends', '', case when v_owner is null then 0 else 1 end,
        'amends', 0, 'portable_json', coalesce(v_owner, gen_random_uuid()::text), v_owner, 'amends', p_parent)
    on conflict (workflow_uuid) do nothing;
    if not found then
        return query
            select case when s.request is distinct from p_request then 'taken'
                        when w.owner_xid = p_owner then 'started' else 'repeated' end, s.name, s.version
              from amends.sagas as s join dbos.workflow_status as w on w.workflow_uuid = s.id where s.id = p_id;
        if not found then
            return query select 'foreign', null::text, null::int;
        end if;
        return;
    end if;
    insert into dbos.workflow_input (workflow_uuid, inputs, retention_timestamp) values (p_id, p_inputs, v_now);
    insert into amends.sagas (id, name, version, root, reference, status, correlation_id, request, deadline_at, parent,
        settled, actor, brake, brake_since, start_brake, due_at)
    values (p_id, p_name, p_version, p_id, p_reference, case when v_owner is null then 'queued' else 'running' end,
        p_correlation, p_request, clock_timestamp() + p_deadline, p_parent, v_owner is null,
        p_events -> 0 -> 'metadata' ->> 'actor', v_brake.id, case when v_brake.id is not null then clock_timestamp() end,
        v_brake.id, case when v_brake.id is not null then clock_timestamp() + p_deadline end);
    if v_brake.id is not null then
        update amends.sagas as s
           set cause = amends.note_cause(p_id, 'queued', null, jsonb_build_object('kind', 'brake', 'error', v_brake.id))
         where s.id = p_id;
    end if;
    perform amends.insert_events(p_events);
    return query select case when v_brake.id is null then 'started' else 'held' end, p_name, p_version;
end $$;
