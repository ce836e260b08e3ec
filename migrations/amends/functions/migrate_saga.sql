-- An operator moves a saga to another version of its code: its event, its version in its row and in the input that DBOS
-- keeps for its workflow, and the answer to the request. p_at is the version of its story that was judged against that code.
-- One that waits or is incompatible goes into the queue: the new code runs it to where it waits. The locks of the rows are
-- not waited for: whoever holds one is about to run it.
-- outcome: moved; repeated (the request was answered before); stale (it is of another version, or its story has gone on);
-- wrong (why it cannot be moved, in the second column: its status, executing or unsettled).
create or replace function amends.migrate_saga(
    p_saga text, p_from int, p_to int, p_at int, p_events jsonb, p_answer jsonb default null
) returns table (outcome text, status text, place text, digest text, answer jsonb) language plpgsql as $$
#variable_conflict use_column
declare
    v_saga amends.sagas;
    v_free boolean;
    v_place text;
begin
    perform amends.lock_streams(array['saga-' || p_saga, 'request ' || (p_answer ->> 'key')]);
    if p_answer is not null then
        return query select 'repeated', null::text, null::text, r.digest, r.answer
                       from amends.requests as r where r.key = p_answer ->> 'key';
        if found then return; end if;
    end if;
    if exists (select from amends.events where id = (p_events -> 0 ->> 'id')::uuid) then
        return query select 'moved', null::text, amends.place_token(e.position), null::text, null::jsonb
                       from amends.events as e where e.id = (p_events -> 0 ->> 'id')::uuid;
        return;
    end if;
    if not exists (select from amends.sagas where id = p_saga) then
        return query select 'wrong', null::text, null::text, null::text, null::jsonb;
        return;
    end if;
    select (w.status, w.queue_name) is not distinct from ('ENQUEUED', 'amends')
        or (w.status, w.executor_id) is not distinct from ('PENDING', 'parked')
      into v_free from dbos.workflow_status as w where w.workflow_uuid = p_saga for no key update skip locked;
    select s.* into v_saga from amends.sagas as s where s.id = p_saga for no key update skip locked;
    if v_free is null or v_saga.id is null then
        return query select 'wrong', 'executing', null::text, null::text, null::jsonb;
        return;
    end if;
    if v_saga.version <> p_from
       or p_at <> (select coalesce(max(e.version), 0) from amends.events as e where e.stream = 'saga-' || p_saga) then
        return query select 'stale', null::text, null::text, null::text, null::jsonb;
        return;
    end if;
    if v_saga.status not in ('queued', 'running', 'waiting', 'stranded') or not v_free or v_saga.provider is not null
       or (v_saga.status <> 'waiting' and not v_saga.settled) then
        return query select 'wrong', case when v_saga.status not in ('queued', 'running', 'waiting', 'stranded')
                                          then v_saga.status when not v_free then 'executing' else 'unsettled' end,
                            null::text, null::text, null::jsonb;
        return;
    end if;
    v_place := amends.place_token(amends.insert_events(amends.told_of_saga(p_events, p_saga)));
    update amends.sagas as s
       set version = p_to, status = case when s.status in ('waiting', 'stranded') then 'running' else s.status end,
           reason = case when s.status in ('waiting', 'stranded') then null else s.reason end, cause = null, waiting_for = null,
           brake = null, brake_since = null,
           due_at = null, since = case when s.status in ('waiting', 'stranded') then clock_timestamp() else s.since end
     where s.id = p_saga;
    if v_saga.status in ('waiting', 'stranded') or v_saga.brake is not null then
        perform amends.queue_saga(p_saga);
    end if;
    update dbos.workflow_input as i  -- what a step or a caller has given is left as it is written, figure by figure
       set inputs = format('{"positionalArgs": %s, "namedArgs": %s}', i.inputs::json -> 'positionalArgs',
                           (i.inputs::json -> 'namedArgs')::jsonb || jsonb_build_object('version', p_to))
     where i.workflow_uuid = p_saga and (i.inputs::json -> 'namedArgs') is not null;
    perform amends.keep_answer(p_answer, v_place);
    return query select 'moved', null::text, v_place, null::text, null::jsonb;
end $$;
