-- Starts a saga, once per id; with a deadline in seconds from now if it has one, and as the child of another one if it is
-- one. With an owner it is this executor's from the start, else it is queued.
-- outcome: started (also when the same start is sent again while its owner still has the saga: the answer to the first try
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
begin
    perform amends.lock_streams(array['saga-' || p_id]);
    insert into dbos.workflow_status (workflow_uuid, status, name, executor_id, created_at, updated_at,
        started_at_epoch_ms, application_version, application_id, recovery_attempts, queue_name, priority,
        serialization, creator_xid, owner_xid, application_name, parent_workflow_id)
    values (p_id, case when p_owner is null then 'ENQUEUED' else 'PENDING' end, p_name, p_executor, v_now, v_now,
        case when p_owner is null then null else v_now end, 'amends', '', case when p_owner is null then 0 else 1 end,
        'amends', 0, 'portable_json', coalesce(p_owner, gen_random_uuid()::text), p_owner, 'amends', p_parent)
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
        settled, actor, executions)
    values (p_id, p_name, p_version, p_id, p_reference, case when p_owner is null then 'queued' else 'running' end,
        p_correlation, p_request, clock_timestamp() + p_deadline, p_parent, p_owner is null,
        p_events -> 0 -> 'metadata' ->> 'actor',
        case when p_owner is null then '{}' else amends.begin_execution('{}', p_executor, clock_timestamp(), null) end);
    perform amends.insert_events(p_events);
    return query select 'started', p_name, p_version;
end $$;
