-- Appends items [{"streams", "events", "expected", "answer"}], each to one or several streams and each all of it or
-- nothing, in one transaction. `streams` are the locks that it needs. An item alone waits for them; of several, those
-- whose locks are taken are `busy` and go again alone: nothing waits for another, and none makes another fail. All locks
-- come before the first write.
-- outcome: appended (also when the same events were before); repeated (the request was answered before, as in `answer`);
-- stale; reused (only some of the events are known); busy.
create or replace function amends.append(p_items jsonb)
returns table (item int, outcome text, stream text, expected int, actual int, place text, digest text, answer jsonb)
language plpgsql as $$
#variable_conflict use_column
declare
    v_count int := jsonb_array_length(p_items);
    v_busy boolean[] := array_fill(false, array[v_count]);
    v_item jsonb;
    v_key bigint;
begin
    if v_count = 1 then
        perform amends.lock_streams(array(select jsonb_array_elements_text(p_items -> 0 -> 'streams')));
    else
        for n in 1 .. v_count loop
            for v_key in
                select hashtextextended('amends.stream:' || name, 0)
                  from jsonb_array_elements_text(p_items -> (n - 1) -> 'streams') as name
            loop
                v_busy[n] := v_busy[n] or not pg_try_advisory_xact_lock(v_key);
            end loop;
        end loop;
    end if;
    for n in 1 .. v_count loop
        item := n - 1;
        if v_busy[n] then
            outcome := 'busy';
        else
            v_item := p_items -> (n - 1);
            place := case when v_item -> 'answer' = 'null'
                          then amends.append_one(v_item -> 'events', v_item -> 'expected') end;
            outcome := 'appended';
            if place is null then
                select a.* into outcome, stream, expected, actual, place, digest, answer
                  from amends.append_locked(v_item -> 'events', v_item -> 'expected', v_item -> 'answer') as a;
            end if;
        end if;
        return next;
    end loop;
end $$;
