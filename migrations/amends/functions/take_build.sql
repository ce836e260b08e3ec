-- Takes the lease of a build if nobody has it: it was given back, it is over, or its executor was ended.
create or replace function amends.take_build(p_name text, p_build int, p_runner text, p_lease interval) returns boolean
language plpgsql as $$
begin
    update amends.builds as b set runner = p_runner, lease_until = clock_timestamp() + p_lease
     where b.name = p_name and b.build = p_build
       and (b.runner is null or b.runner = p_runner or b.lease_until < clock_timestamp()
            or exists (select from amends.executors as x
                        where x.id = split_part(b.runner, '/', 1) and x.ended_at is not null));
    return found;
end $$;
