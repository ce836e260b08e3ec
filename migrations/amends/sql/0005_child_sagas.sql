-- Sagas that sagas start: in the commit of a parent they are started and called back, in their own last commit they tell
-- how they ended. Every function takes the locks of all streams concerned before its first write, in one order.

alter table amends.sagas add column parent text;
comment on column amends.sagas.parent is 'The saga that started it and is told how it ended.';
create index sagas_parent on amends.sagas (parent) where parent is not null;

-- Starts a saga, once per id; as before, and as the child of another one, if it is one.
drop function amends.start_saga(text, text, int, text, text, text, text, jsonb, text, text, interval);
create function amends.start_saga(
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
            select case when s.request = p_request then 'repeated' else 'taken' end, s.name, s.version
              from amends.sagas as s where s.id = p_id;
        if not found then
            return query select 'foreign', null::text, null::int;
        end if;
        return;
    end if;
    insert into dbos.workflow_input (workflow_uuid, inputs, retention_timestamp) values (p_id, p_inputs, v_now);
    insert into amends.sagas (id, name, version, root, reference, status, correlation_id, request, deadline_at, parent)
    values (p_id, p_name, p_version, p_id, p_reference, case when p_owner is null then 'queued' else 'running' end,
        p_correlation, p_request, clock_timestamp() + p_deadline, p_parent);
    perform amends.insert_events(p_events);
    return query select 'started', p_name, p_version;
end $$;

-- A signal to a saga: an event in its story, also when it comes before anybody waits for it, and the saga goes on if it
-- waits for just that; one that turns back waits for its children to be undone.
-- outcome: told; repeated (the request was answered before); wrong (its status, then in the second column, is final).
create or replace function amends.signal_saga(p_saga text, p_signal text, p_events jsonb, p_answer jsonb)
returns table (outcome text, status text, place text, digest text, answer jsonb) language plpgsql as $$
#variable_conflict use_column
declare
    v_status text;
    v_waiting_for text;
    v_place text;
begin
    perform amends.lock_streams(array['saga-' || p_saga, 'request ' || (p_answer ->> 'key')]);
    if p_answer is not null then
        return query select 'repeated', null::text, null::text, r.digest, r.answer
                       from amends.requests as r where r.key = p_answer ->> 'key';
        if found then return; end if;
    end if;
    if exists (select from amends.events where id = (p_events -> 0 ->> 'id')::uuid) then
        return query select 'told', null::text, amends.place_token(e.position), null::text, null::jsonb
                       from amends.events as e where e.id = (p_events -> 0 ->> 'id')::uuid;
        return;
    end if;
    select s.status, s.waiting_for into v_status, v_waiting_for
      from amends.sagas as s where s.id = p_saga for no key update;
    if v_status is null or v_status in ('completed', 'compensated') then
        return query select 'wrong', v_status, null::text, null::text, null::jsonb;
        return;
    end if;
    v_place := amends.place_token(amends.insert_events(amends.told_of_saga(p_events, p_saga)));
    if v_status in ('waiting', 'compensating') and v_waiting_for = p_signal then
        update amends.sagas set status = case when v_status = 'waiting' then 'running' else v_status end,
               since = clock_timestamp(), waiting_for = null, due_at = null
         where id = p_saga;
        perform amends.queue_saga(p_saga);
    end if;
    perform amends.keep_answer(p_answer, v_place);
    return query select 'told', v_status, v_place, null::text, null::jsonb;
end $$;

-- Tells the parent of a saga how it ended, if it has one and that is not finished itself: by the signal `child <id>`, or
-- `undone <id>` if it had been completed before. The caller holds the locks of both streams.
create function amends.tell_parent(p_child text) returns void language plpgsql as $$
#variable_conflict use_column
declare
    v_child amends.sagas;
    v_last amends.events;
    v_payload jsonb;
    v_signal text := 'child ' || p_child;
begin
    select s.* into v_child from amends.sagas as s where s.id = p_child;
    if v_child.parent is null then return; end if;
    select e.* into v_last from amends.events as e where e.stream = 'saga-' || p_child order by e.version desc limit 1;
    if v_child.status = 'completed' then
        v_payload := jsonb_build_object('status', 'completed', 'result', v_last.data -> 'result');
    else
        v_payload := jsonb_build_object('status', 'compensated', 'reason', v_child.reason, 'error',
            (select e.data -> 'error' from amends.events as e
              where e.stream = 'saga-' || p_child and e.type = 'saga-compensating' order by e.version desc limit 1));
        if exists (select from amends.events as e where e.stream = 'saga-' || p_child and e.type = 'saga-completed') then
            v_signal := 'undone ' || p_child;
        end if;
    end if;
    perform amends.signal_saga(v_child.parent, v_signal, jsonb_build_array(jsonb_build_object(
        'id', gen_random_uuid(), 'stream', 'saga-' || v_child.parent, 'type', 'signal-received', 'schema_version', 1,
        'data', jsonb_build_object('signal', v_signal, 'payload', v_payload),
        'metadata', jsonb_build_object('causation_id', v_last.id, 'actor', v_last.metadata -> 'actor'))), null);
end $$;

-- Starts a child of a saga; one that is there already, started by the saga that this one is a fork of, is its child from
-- now on. The caller holds the locks of both streams and has seen that the id is not somebody else's.
create function amends.start_child(p_parent text, p_start jsonb) returns void language plpgsql as $$
declare
    v_outcome text;
begin
    select s.outcome into v_outcome
      from amends.start_saga(p_start ->> 'id', p_start ->> 'name', (p_start ->> 'version')::int, p_start ->> 'reference',
        p_start ->> 'correlation', p_start ->> 'request', p_start ->> 'inputs', p_start -> 'events', null, null,
        make_interval(secs => (p_start ->> 'deadline')::double precision), p_parent) as s;
    if v_outcome <> 'started' then
        update amends.sagas set parent = p_parent where id = p_start ->> 'id';
        perform amends.tell_parent(s.id) from amends.sagas as s
          where s.id = p_start ->> 'id' and s.status in ('completed', 'compensated');
    end if;
end $$;

-- Calls a saga back for its parent: whatever it is doing, it is to be undone. One that was completed goes on for that; one
-- that is undone already tells so again. The caller holds the locks of both streams.
create function amends.recall_saga(p_saga text, p_parent text, p_reason text, p_events jsonb) returns void
language plpgsql as $$
declare
    v_status text;
begin
    select s.status into v_status from amends.sagas as s where s.id = p_saga for no key update;
    update amends.sagas set parent = p_parent where id = p_saga and parent is distinct from p_parent;
    if v_status = 'compensated' then
        perform amends.tell_parent(p_saga);
        return;
    end if;
    perform amends.insert_events(amends.told_of_saga(p_events, p_saga));
    update amends.sagas set cancel_reason = p_reason where id = p_saga;
    if v_status not in ('completed', 'waiting', 'stuck') or exists (
        select from amends.events as e where e.stream = 'saga-' || p_saga and e.type = 'saga-compensating') then
        return;
    end if;
    update amends.sagas set status = 'running', reason = null, since = clock_timestamp(), finished_at = null,
           waiting_for = null, due_at = null, takeovers = 0, not_before = null
     where id = p_saga;
    delete from dbos.workflow_output where workflow_uuid = p_saga;
    update dbos.workflow_status set status = 'PENDING' where workflow_uuid = p_saga and status = 'SUCCESS';
    perform amends.queue_saga(p_saga);
end $$;

-- One step of a saga: its events, its checkpoint in DBOS and its status, if this execution still owns the saga.
-- A saga that parks to wait gives what it waits for as {"for", "due"}; `p_family` is a child that it starts, as
-- {"start": {…}}, or calls back, as {"recall": {"saga", "reason", "events"}}. The last commit of a child tells its parent.
-- outcome: committed (also when an earlier try of the same entry was), stale, fenced, foreign, taken (the child's id).
drop function amends.commit_step(text, text, jsonb, jsonb, jsonb, text, text, boolean, jsonb);
create function amends.commit_step(
    p_saga text, p_owner text, p_events jsonb, p_expected jsonb, p_checkpoint jsonb,
    p_status text, p_reason text, p_park boolean, p_wait jsonb default null, p_family jsonb default null
) returns table (outcome text, stream text, expected int, actual int) language plpgsql as $$
#variable_conflict use_column
declare
    v_owner text;
    v_parent text;
begin
    if p_status in ('completed', 'compensated') then
        select s.parent into v_parent from amends.sagas as s where s.id = p_saga;
    end if;
    perform amends.lock_streams(
        array(select value ->> 'stream' from jsonb_array_elements(p_events))
        || array(select jsonb_object_keys(p_expected))
        || array_remove(array['saga-' || v_parent, 'saga-' || (p_family -> 'start' ->> 'id'),
                              'saga-' || (p_family -> 'recall' ->> 'saga')], null));
    if exists (select from amends.events where id = (p_events -> 0 ->> 'id')::uuid) then
        return query select 'committed', null::text, null::int, null::int;
        return;
    end if;
    if p_expected <> '{}' then
        return query select 'stale', s.stream, s.expected, s.actual from amends.stale_stream(p_expected) as s;
        if found then return; end if;
    end if;
    if p_family ? 'start' and exists (
        select from dbos.workflow_status as w left join amends.sagas as s on s.id = w.workflow_uuid
         where w.workflow_uuid = p_family -> 'start' ->> 'id'
           and s.request is distinct from p_family -> 'start' ->> 'request') then
        return query select 'taken', null::text, null::int, null::int;
        return;
    end if;
    -- The token comes out of the very node that locks the row: after a wait it is the new owner's.
    select w.owner_xid into v_owner from dbos.workflow_status as w
     where w.workflow_uuid = p_saga for no key update;
    if v_owner is distinct from p_owner then
        return query select 'fenced', null::text, null::int, null::int;
        return;
    end if;
    if p_checkpoint is not null then
        insert into dbos.operation_outputs (workflow_uuid, function_id, function_name, output, error,
            started_at_epoch_ms, completed_at_epoch_ms, serialization, retention_timestamp, application_name)
        select p_saga, (p_checkpoint ->> 'slot')::int, p_checkpoint ->> 'name', p_checkpoint ->> 'output',
            p_checkpoint ->> 'error', (p_checkpoint ->> 'started_ms')::bigint, (p_checkpoint ->> 'completed_ms')::bigint,
            'portable_json', (p_checkpoint ->> 'completed_ms')::bigint, 'amends'
        on conflict (workflow_uuid, function_id) do nothing;
        if not found then
            return query select 'foreign', null::text, null::int, null::int;
            return;
        end if;
    end if;
    perform amends.insert_events(p_events);
    if p_status is not null then
        update amends.sagas
           set status = p_status, reason = p_reason, since = clock_timestamp(),
               waiting_for = p_wait ->> 'for', due_at = (p_wait ->> 'due')::timestamptz,
               finished_at = case when p_status in ('completed', 'compensated') then clock_timestamp() end
         where id = p_saga;
    end if;
    if p_park then
        update dbos.workflow_status
           set executor_id = 'parked', owner_xid = null, updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
         where workflow_uuid = p_saga;
    end if;
    if p_family ? 'start' then
        perform amends.start_child(p_saga, p_family -> 'start');
    elsif p_family ? 'recall' then
        perform amends.recall_saga(p_family -> 'recall' ->> 'saga', p_saga, p_family -> 'recall' ->> 'reason',
                                   p_family -> 'recall' -> 'events');
    elsif v_parent is not null then
        -- A fork may have become its parent since the locks were chosen: then they are chosen again.
        if v_parent is distinct from (select s.parent from amends.sagas as s where s.id = p_saga) then
            raise exception 'another saga has become the parent of %', p_saga using errcode = 'serialization_failure';
        end if;
        perform amends.tell_parent(p_saga);
    end if;
    return query select 'committed', null::text, null::int, null::int;
end $$;
