-- The name of a build's table.
create or replace function amends.build_table(p_name text, p_build int) returns text language sql immutable as $$
    select p_name || '_' || p_build
$$;
