-- Sets a brake {"id", "name", "version", "step", "provider", "starts", "compensations", "reason", "actor"}, with its event
-- and the answer to the request.
-- outcome: set; repeated (the request was answered before).
create or replace function amends.set_brake(p_brake jsonb, p_events jsonb, p_answer jsonb)
returns table (outcome text, place text, digest text, answer jsonb) language plpgsql as $$
#variable_conflict use_column
declare
    v_place text;
begin
    perform amends.lock_streams(array['brake-' || (p_brake ->> 'id'), 'request ' || (p_answer ->> 'key')]);
    if p_answer is not null then
        return query select 'repeated', null::text, r.digest, r.answer
                       from amends.requests as r where r.key = p_answer ->> 'key';
        if found then return; end if;
    end if;
    if exists (select from amends.brakes as b where b.id = p_brake ->> 'id') then
        return query select 'set', amends.place_token(e.position), null::text, null::jsonb
                       from amends.events as e where e.id = (p_events -> 0 ->> 'id')::uuid;
        return;
    end if;
    insert into amends.brakes (id, name, version, step, provider, starts, compensations, reason, actor)
    values (p_brake ->> 'id', p_brake ->> 'name', (p_brake ->> 'version')::int, p_brake ->> 'step', p_brake ->> 'provider',
            p_brake ->> 'starts', (p_brake ->> 'compensations')::boolean, p_brake ->> 'reason', p_brake ->> 'actor');
    v_place := amends.place_token(amends.insert_events(p_events));
    perform amends.keep_answer(p_answer, v_place);
    return query select 'set', v_place, null::text, null::jsonb;
end $$;
