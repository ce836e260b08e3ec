-- Puts on record what blocked the event loop, if the saga is not finished. The caller holds the lock of its stream.
create or replace function amends.record_blocked(p_blocked jsonb) returns boolean language plpgsql as $$
begin
    if not exists (select from amends.sagas where id = p_blocked ->> 'saga' and finished_at is null) then
        return false;
    end if;
    perform amends.insert_events(amends.told_of_saga(p_blocked -> 'events', p_blocked ->> 'saga'));
    return true;
end $$;
