-- Pauses, resumes or cancels a bulk act: its new status, a note {"id", "actor", "action", "reason"} of who did so, and the
-- answer to the request.
-- outcome: done; repeated (the request was answered before); wrong (its status, then in the second column, is another one).
create or replace function amends.steer_bulk(p_id text, p_from text[], p_to text, p_note jsonb, p_answer jsonb)
returns table (outcome text, status text, digest text, answer jsonb) language plpgsql as $$
#variable_conflict use_column
declare
    v_bulk amends.bulk_acts;
begin
    perform amends.lock_streams(array['request ' || (p_answer ->> 'key')]);
    if p_answer is not null then
        return query select 'repeated', null::text, r.digest, r.answer
                       from amends.requests as r where r.key = p_answer ->> 'key';
        if found then return; end if;
    end if;
    select b.* into v_bulk from amends.bulk_acts as b where b.id = p_id for no key update;
    if v_bulk.notes @> jsonb_build_array(jsonb_build_object('id', p_note -> 'id')) then
        return query select 'done', v_bulk.status, null::text, null::jsonb;
        return;
    end if;
    if v_bulk.status is null or v_bulk.status <> all (p_from) then
        return query select 'wrong', v_bulk.status, null::text, null::jsonb;
        return;
    end if;
    update amends.bulk_acts as b
       set status = p_to, moved_at = clock_timestamp(),
           finished_at = case when p_to = 'cancelled' then clock_timestamp() end,
           notes = b.notes || (p_note || jsonb_build_object('at', clock_timestamp()))
     where b.id = p_id;
    perform amends.keep_answer(p_answer, null);
    return query select 'done', p_to, null::text, null::jsonb;
end $$;
