-- A role as statements name it.
create or replace function amends.role_named(p_role oid) returns text language sql stable as $$
    select case when p_role = 0 then 'public' else format('%I', pg_get_userbyid(p_role)) end
$$;
