-- Starts a child of a saga; one that is there already, started by the saga that this one is a fork of, is its child from
-- now on. The caller holds the locks of both streams and has seen that the id is not somebody else's.
create or replace function amends.start_child(p_parent text, p_start jsonb) returns void language plpgsql as $$
declare
    v_outcome text;
begin
    select s.outcome into v_outcome
      from amends.start_saga(p_start ->> 'id', p_start ->> 'name', (p_start ->> 'version')::int, p_start ->> 'reference',
        p_start ->> 'correlation', p_start ->> 'request', p_start ->> 'inputs', p_start -> 'events', null, null,
        make_interval(secs => (p_start ->> 'deadline')::double precision), p_parent) as s;
    if v_outcome not in ('started', 'held') then
        update amends.sagas set parent = p_parent where id = p_start ->> 'id';
        perform amends.tell_parent(s.id) from amends.sagas as s
          where s.id = p_start ->> 'id' and s.status in ('completed', 'compensated');
    end if;
end $$;
