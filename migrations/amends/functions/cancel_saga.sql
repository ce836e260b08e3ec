-- Somebody wants a saga cancelled: an event in its story, and it looks at it between its steps; one that waits goes on.
-- outcome: told; repeated (the request was answered before); wrong (its status, then in the second column, is final);
-- past (one of p_pivots is recorded: there is no way back).
create or replace function amends.cancel_saga(p_saga text, p_pivots text[], p_reason text, p_events jsonb, p_answer jsonb)
returns table (outcome text, status text, place text, digest text, answer jsonb) language plpgsql as $$
#variable_conflict use_column
declare
    v_status text;
    v_back boolean;
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
    select s.status into v_status from amends.sagas as s where s.id = p_saga for no key update;
    if v_status is null or v_status in ('completed', 'compensated') then
        return query select 'wrong', v_status, null::text, null::text, null::jsonb;
        return;
    end if;
    if exists (select from amends.events as e where e.stream = 'saga-' || p_saga
                  and e.type in ('step-completed', 'step-skipped') and e.data ->> 'step' = any (p_pivots)) then
        return query select 'past', v_status, null::text, null::text, null::jsonb;
        return;
    end if;
    v_place := amends.place_token(amends.insert_events(amends.told_of_saga(p_events, p_saga)));
    v_back := exists (select from amends.events as e
                       where e.stream = 'saga-' || p_saga and e.type = 'saga-compensating');
    update amends.sagas set cancel_reason = p_reason where id = p_saga;
    if not v_back and (v_status in ('waiting', 'stuck') or amends.is_held(p_saga)) then
        update amends.sagas set status = 'running', reason = null, since = clock_timestamp(), waiting_for = null,
               due_at = null, takeovers = 0, not_before = null, cause = null, brake = null, brake_since = null
         where id = p_saga;
        perform amends.queue_saga(p_saga);
    end if;
    perform amends.keep_answer(p_answer, v_place);
    return query select 'told', v_status, v_place, null::text, null::jsonb;
end $$;
