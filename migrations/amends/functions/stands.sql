-- Whether an event still stands where a place says that it does; a place without an event is taken as it is.
create or replace function amends.stands(p_position bigint, p_event uuid) returns boolean language plpgsql stable as $$
begin
    return p_event is null or exists (select from amends.events as e where e.position = p_position and e.id = p_event);
end $$;
