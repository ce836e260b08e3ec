-- An operator's action on a saga that is suspended, or was ended in DBOS's own tools: its event, its new status, back into
-- the queue, and the answer to the request. With a reason to cancel it, it is compensated when it goes on. `p_version` is
-- that of the event that told how it got stuck, null for one that is not stuck: what else the saga was told since then does
-- not matter.
-- outcome: acted; repeated (the request was answered before); stale (it got stuck anew); wrong (its status, then in the
-- second column, is another one).
create or replace function amends.act_on_saga(
    p_saga text, p_version int, p_from text[], p_events jsonb, p_status text, p_answer jsonb default null,
    p_cancel text default null
) returns table (outcome text, status text, place text, digest text, answer jsonb) language plpgsql as $$
#variable_conflict use_column
declare
    v_status text;
    v_place text;
begin
    perform amends.lock_streams(array['saga-' || p_saga, 'request ' || (p_answer ->> 'key')]);
    if p_answer is not null then
        return query select 'repeated', null::text, null::text, r.digest, r.answer
                       from amends.requests as r where r.key = p_answer ->> 'key';
        if found then return; end if;
    end if;
    if exists (select from amends.events where id = (p_events -> 0 ->> 'id')::uuid) then
        return query select 'acted', null::text, amends.place_token(e.position), null::text, null::jsonb
                       from amends.events as e where e.id = (p_events -> 0 ->> 'id')::uuid;
        return;
    end if;
    if p_version is distinct from (
        select e.version from amends.events as e
         where p_version is not null and e.stream = 'saga-' || p_saga and e.type = 'saga-stuck'
         order by e.version desc limit 1) then
        return query select 'stale', null::text, null::text, null::text, null::jsonb;
        return;
    end if;
    select s.status into v_status from amends.sagas as s where s.id = p_saga for no key update;
    if v_status is null or v_status <> all (p_from) then
        return query select 'wrong', v_status, null::text, null::text, null::jsonb;
        return;
    end if;
    v_place := amends.place_token(amends.insert_events(amends.told_of_saga(p_events, p_saga)));
    update amends.sagas set status = p_status, reason = null, since = clock_timestamp(), waiting_for = null, due_at = null,
           takeovers = 0, not_before = null, cause = null, brake = null, brake_since = null,
           cancel_reason = coalesce(p_cancel, cancel_reason)
     where id = p_saga;
    perform amends.queue_saga(p_saga);
    perform amends.keep_answer(p_answer, v_place);
    return query select 'acted', p_status, v_place, null::text, null::jsonb;
end $$;
