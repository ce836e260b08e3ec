-- The place of an event as a token: generation, transaction and position are its order, the event is what stands there, and
-- the last number says how far it was on record by then what the database has lost.
create or replace function amends.place_token(p_position bigint) returns text language plpgsql as $$
begin
    return (select e.generation || '-' || e.transaction_id || '-' || e.position || '-' || replace(e.id::text, '-', '') || '-'
                   || amends.as_of()
              from amends.events as e where e.position = p_position);
end $$;
