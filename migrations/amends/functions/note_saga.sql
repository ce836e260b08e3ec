-- What is told of a saga that nobody runs: an event and its new status, unless it has one of p_unless by now.
create or replace function amends.note_saga(p_saga text, p_unless text[], p_events jsonb, p_status text, p_reason text)
returns boolean language plpgsql as $$
begin
    perform amends.lock_streams(array['saga-' || p_saga]);
    update amends.sagas set status = p_status, reason = p_reason, since = clock_timestamp()
     where id = p_saga and status <> all (p_unless);
    if not found then return false; end if;
    perform amends.insert_events(amends.told_of_saga(p_events, p_saga));
    return true;
end $$;
