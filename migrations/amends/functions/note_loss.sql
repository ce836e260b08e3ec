-- Puts on record that events are gone; returns the number of the record, which is on disk then whatever the database sets.
create or replace function amends.note_loss(
    p_by text, p_generation int, p_transaction xid8, p_position bigint, p_events int, p_first text, p_last text
) returns bigint language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_id bigint;
begin
    perform set_config('synchronous_commit', 'on', true);
    perform pg_advisory_xact_lock(hashtextextended('amends.runs', 0));
    insert into amends.losses (id, noticed_by, run, generation, transaction_id, position, events, first, last)
    select greatest((extract(epoch from clock_timestamp()) * 1000000)::bigint, amends.as_of() + 1), p_by,
           coalesce(max(r.id), 0), p_generation, p_transaction, p_position, p_events, p_first, p_last
      from amends.runs as r
    returning id into v_id;
    return v_id;
end $$;
