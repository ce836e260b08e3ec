-- What the watchdog of an executor says: what blocks its event loop, null once nothing does; `p_final` says that this is
-- to be put on record now. Answers whether the executor lives: after its end others have put it on record.
create or replace function amends.note_blocked(p_executor text, p_blocked jsonb, p_final boolean) returns boolean language plpgsql as $$
begin
    if p_final then
        perform amends.lock_streams(array['saga-' || (p_blocked ->> 'saga')]);
    end if;
    update amends.executors set blocked = case when p_final then null else p_blocked end
     where id = p_executor and ended_at is null;
    if not found then return false; end if;
    if p_final and not exists (select from amends.events where id = (p_blocked -> 'events' -> 0 ->> 'id')::uuid) then
        perform amends.record_blocked(p_blocked);
    end if;
    return true;
end $$;
