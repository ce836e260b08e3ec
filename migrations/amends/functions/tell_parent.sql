-- Tells the parent of a child how it ended, unless that is finished itself: by the signal `child <id>`, or `undone <id>`
-- if it had been completed before. The caller holds the locks of both streams.
create or replace function amends.tell_parent(p_child text) returns void language plpgsql as $$
#variable_conflict use_column
declare
    v_child amends.sagas;
    v_last amends.events;
    v_payload jsonb;
    v_signal text := 'child ' || p_child;
begin
    select s.* into v_child from amends.sagas as s where s.id = p_child;
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
        'metadata', jsonb_strip_nulls(jsonb_build_object('causation_id', v_last.id, 'actor', v_last.metadata -> 'actor')))), null);
end $$;
