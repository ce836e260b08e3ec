-- One step of a saga: its events, its checkpoint in DBOS and its status, if this execution still owns the saga.
-- A saga that is suspended to wait gives what it waits for as {"for", "due", "provider", "since", "brake", "settled"}, and one that is
-- suspended or compensated the "cause" of that beside it; it counts as long as the suspension lasts. `p_family` is
-- a child that it starts, as {"start": {…}}, or compensates, as {"recall": {"saga", "reason", "events"}}. The last commit of
-- a child tells its parent.
-- `p_after` are the newest events that this execution has read or written: it goes on only from what is still on record.
-- outcome: committed (also when an earlier try of the same commit was), stale, fenced, foreign, taken (the child's id),
-- missing (there is no such saga any more), gone (what it goes on from is not on record any more).
create or replace function amends.commit_step(
    p_saga text, p_owner text, p_events jsonb, p_expected jsonb, p_checkpoint jsonb,
    p_status text, p_reason text, p_park boolean, p_wait jsonb default null, p_family jsonb default null,
    p_after uuid[] default '{}'
) returns table (outcome text, stream text, expected int, actual int) language plpgsql as $$
#variable_conflict use_column
declare
    v_owner text;
    v_parent text;
    v_cause text;
    v_brake text := p_wait ->> 'brake';
begin
    if current_setting('client_min_messages') <> 'warning' then
        -- The warning that a wait for a standby was cancelled reaches the client, whatever a step's own SQL has set.
        perform set_config('client_min_messages', 'warning', true);
    end if;
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
    if v_owner is distinct from p_owner or v_owner is null then
        return query select case when exists (select from amends.sagas as s where s.id = p_saga) then 'fenced' else 'missing' end,
                            null::text, null::int, null::int;
        return;
    end if;
    if (select count(*) from amends.events as e where e.id = any (p_after)) < cardinality(p_after) then
        return query select 'gone', null::text, null::int, null::int;
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
        v_cause := amends.note_cause(p_saga, p_status, p_wait ->> 'provider', p_wait -> 'cause');
        update amends.sagas
           set status = p_status, reason = case when status = p_status then coalesce(p_reason, reason) else p_reason end,
               since = clock_timestamp(), waiting_for = p_wait ->> 'for', due_at = (p_wait ->> 'due')::timestamptz,
               provider = p_wait ->> 'provider', 
               provider_since = case when p_wait ? 'provider' then (p_wait ->> 'since')::timestamptz end,
               brake = v_brake, brake_since = case when p_wait ? 'brake' then (p_wait ->> 'since')::timestamptz end,
               cause = case when p_wait -> 'cause' ->> 'kind' = 'compensating' then null else v_cause end,
               compensation_cause = case when p_wait -> 'cause' ->> 'kind' = 'compensating' then v_cause
                                         else compensation_cause end,
               finished_at = case when p_status in ('completed', 'compensated') then clock_timestamp() end
         where id = p_saga;
    end if;
    if p_park then
        update dbos.workflow_status
           set executor_id = 'parked', owner_xid = null, updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
         where workflow_uuid = p_saga;
        if (p_wait ->> 'settled')::boolean then
            update amends.sagas set settled = true where id = p_saga;
        end if;
        if v_brake is not null then  -- the brake may have been lifted meanwhile: then it goes on with all that waited
            perform from amends.brakes as b where b.id = v_brake and b.lifted_at is null for share;
            if not found then perform amends.queue_saga(p_saga); end if;
        end if;
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
