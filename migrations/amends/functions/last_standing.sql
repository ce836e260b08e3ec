-- The last event before a place that is not vouched for any more that was there when the place was given out, as of p_run,
-- and before which nothing is known to be gone since: what was written in a later run may come before the place, and its
-- reader has not seen it. No row: there is none.
create or replace function amends.last_standing(p_generation int, p_transaction xid8, p_position bigint, p_run bigint)
returns table (generation int, transaction_id xid8, "position" bigint, id uuid) language plpgsql stable as $$
#variable_conflict use_column
declare
    v_first xid8 := (select min(r.first_transaction) from amends.runs as r where r.id > p_run and r.generation = p_generation);
    v_generation int;
    v_transaction xid8;
    v_position bigint;
begin
    select l.generation, l.transaction_id, l.position into v_generation, v_transaction, v_position
      from amends.losses as l where l.id > p_run order by l.generation, l.transaction_id, l.position limit 1;
    if not found then
        v_generation := p_generation;
        v_transaction := p_transaction;
        v_position := p_position;
    end if;
    return query
    select e.generation, e.transaction_id, e.position, e.id from amends.events as e
     where (e.generation, e.transaction_id, e.position)
         < (p_generation, least(v_first, p_transaction), case when v_first <= p_transaction then 0 else p_position end)
       and (e.generation, e.transaction_id, e.position) <= (v_generation, v_transaction, v_position)
     order by e.generation desc, e.transaction_id desc, e.position desc limit 1;
end $$;
