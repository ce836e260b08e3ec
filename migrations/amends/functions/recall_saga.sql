-- Calls a saga back for its parent: whatever it is doing, it is to be undone. One that was completed goes on for that; one
-- that is undone already tells so again. Of one that is not there nothing is left to undo: a fork has the result of a child
-- that was undone since, and asks for the next one of its name. Nor of one that is nobody's child: somebody else has taken
-- the id, and an operator has said what came of the child. The caller holds the locks of both streams.
create or replace function amends.recall_saga(p_saga text, p_parent text, p_reason text, p_events jsonb) returns void
language plpgsql as $$
declare
    v_status text;
begin
    select s.status into v_status from amends.sagas as s where s.id = p_saga and s.parent is not null for no key update;
    if not found then
        perform amends.signal_saga(p_parent, 'undone ' || p_saga, jsonb_build_array(jsonb_build_object(
            'id', gen_random_uuid(), 'stream', 'saga-' || p_parent, 'type', 'signal-received', 'schema_version', 1,
            'data', jsonb_build_object('signal', 'undone ' || p_saga, 'payload', jsonb_build_object(
                'status', 'compensated', 'reason', 'it was not there', 'error', null)),
            'metadata', jsonb_build_object('actor', 'amends'))), null);
        return;
    end if;
    update amends.sagas set parent = p_parent where id = p_saga and parent is distinct from p_parent;
    if v_status = 'compensated' then
        perform amends.tell_parent(p_saga);
        return;
    end if;
    perform amends.insert_events(amends.told_of_saga(p_events, p_saga));
    update amends.sagas set cancel_reason = p_reason where id = p_saga;
    if not (v_status in ('completed', 'waiting', 'stuck') or amends.is_held(p_saga)) or exists (
        select from amends.events as e where e.stream = 'saga-' || p_saga and e.type = 'saga-compensating') then
        return;
    end if;
    update amends.sagas set status = 'running', reason = null, since = clock_timestamp(), finished_at = null,
           waiting_for = null, due_at = null, takeovers = 0, not_before = null, cause = null, brake = null,
           brake_since = null
     where id = p_saga;
    delete from dbos.workflow_output where workflow_uuid = p_saga;
    update dbos.workflow_status set status = 'PENDING' where workflow_uuid = p_saga and status = 'SUCCESS';
    perform amends.queue_saga(p_saga);
end $$;
