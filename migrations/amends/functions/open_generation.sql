-- Opens a generation: every event from now on comes after all those before, whatever its transaction id.
create or replace function amends.open_generation(p_reason text) returns int language plpgsql as $$
declare
    v_next int;
begin
    lock table amends.events in access exclusive mode;
    insert into amends.generations (generation, reason)
    select max(generation) + 1, p_reason from amends.generations returning generation into v_next;
    execute format('alter table amends.events alter column generation set default %s', v_next);
    return v_next;
end $$;
