-- Gives a table the row level security of another one.
create or replace function amends.copy_policies(p_from regclass, p_to regclass) returns void language plpgsql as $$
declare
    v_from pg_class;
    v_each record;
begin
    select c.* into v_from from pg_class as c where c.oid = p_from;
    for v_each in select p.polname from pg_policy as p where p.polrelid = p_to loop
        execute format('drop policy %I on %s', v_each.polname, p_to);
    end loop;
    for v_each in
        select p.*, pg_get_expr(p.polqual, p.polrelid) as sees, pg_get_expr(p.polwithcheck, p.polrelid) as writes,
               (select string_agg(amends.role_named(r), ', ') from unnest(p.polroles) as r) as roles
          from pg_policy as p where p.polrelid = p_from
    loop
        execute format('create policy %I on %s as %s for %s to %s', v_each.polname, p_to,
                       case when v_each.polpermissive then 'permissive' else 'restrictive' end,
                       case v_each.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update'
                                          when 'd' then 'delete' else 'all' end, v_each.roles)
             || coalesce(' using (' || v_each.sees || ')', '') || coalesce(' with check (' || v_each.writes || ')', '');
    end loop;
    execute format('alter table %s %s row level security, %s force row level security', p_to,
                   case when v_from.relrowsecurity then 'enable' else 'disable' end,
                   case when v_from.relforcerowsecurity then '' else 'no' end);
end $$;
