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
