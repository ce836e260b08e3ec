-- The version of the last event of a stream that does not come after a place in the feed, 0 if there is none. Versions
-- rise with places, so it is found by halving.
create or replace function amends.version_at(p_stream text, p_generation int, p_transaction xid8, p_position bigint) returns int
language plpgsql stable as $$
declare
    v_low int := 0;
    v_high int;
    v_middle int;
    v_before boolean;
begin
    select max(version) into v_high from amends.events where stream = p_stream;
    while v_low < coalesce(v_high, 0) loop
        v_middle := (v_low + v_high + 1) / 2;
        select (e.generation, e.transaction_id, e.position) <= (p_generation, p_transaction, p_position) into v_before
          from amends.events as e where e.stream = p_stream and e.version = v_middle;
        if coalesce(v_before, true) then
            v_low := v_middle;
        else
            v_high := v_middle - 1;
        end if;
    end loop;
    return v_low;
end $$;
