-- Gives a table or a view what others have made of another one: rights, comments, options, policies, and at last its owner.
create or replace function amends.copy_surroundings(p_from regclass, p_to regclass) returns void language plpgsql as $$
declare
    v_from pg_class;
    v_kind text;
    v_each record;
begin
    select c.* into v_from from pg_class as c where c.oid = p_from;
    v_kind := case v_from.relkind when 'v' then 'view' else 'table' end;
    perform amends.copy_grants(p_from, p_to);
    execute format('comment on %s %s is %L', v_kind, p_to, obj_description(p_from, 'pg_class'));
    for v_each in
        select a.attname, col_description(p_from, a.attnum) as told
          from pg_attribute as a join pg_attribute as t on t.attrelid = p_to and t.attname = a.attname
         where a.attrelid = p_from and a.attnum > 0 and not a.attisdropped and not t.attisdropped
           and col_description(p_from, a.attnum) is distinct from col_description(p_to, t.attnum)
    loop
        execute format('comment on column %s.%I is %L', p_to, v_each.attname, v_each.told);
    end loop;
    perform amends.set_options(p_to, v_from.reloptions);
    if v_kind = 'table' then
        perform amends.copy_policies(p_from, p_to);
    end if;
    if v_from.relowner <> (select c.relowner from pg_class as c where c.oid = p_to) then
        execute format('alter %s %s owner to %I', v_kind, p_to, pg_get_userbyid(v_from.relowner));
    end if;
end $$;
