-- Whether an event is there, after waiting for whoever is writing to its streams.
create or replace function amends.landed(p_streams text[], p_event uuid) returns boolean language plpgsql as $$
begin
    perform amends.lock_streams(p_streams);
    return exists (select from amends.events where id = p_event);
end $$;
