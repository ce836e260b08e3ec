-- Whether a reader who goes on after a place that was given out as of p_run misses nothing: its event still stands, and
-- nothing before it is known to be gone since. A place without an event is taken as it is.
create or replace function amends.vouched(p_generation int, p_transaction xid8, p_position bigint, p_event uuid, p_run bigint)
returns boolean language plpgsql stable as $$
begin
    return p_event is null
        or amends.stands(p_position, p_event) and not exists (
            select from amends.losses as l
             where l.id > p_run
               and (l.generation, l.transaction_id, l.position) < (p_generation, p_transaction, p_position));
end $$;
