-- Lets the view of a read model show a build. What others have made of the view stays: rights, comments, options, owner.
create or replace function amends.point_view(p_name text, p_build int) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_view regclass := to_regclass(format('views.%I', p_name));
    v_options text[] := (select c.reloptions from pg_class as c where c.oid = v_view);
    v_columns text;
begin
    select string_agg(format('%I', c ->> 'name'), ', ' order by n) into v_columns
      from amends.builds as b cross join jsonb_array_elements(b.columns) with ordinality as x (c, n)
     where b.name = p_name and b.build = p_build;
    begin
        execute format('create or replace view views.%I as select %s from views.%I',
                       p_name, v_columns, amends.build_table(p_name, p_build));
        perform amends.set_options(v_view, v_options);  -- they were replaced too
    exception when invalid_table_definition then  -- other columns: another view
        if exists (select from pg_trigger as t where t.tgrelid = v_view)
           or exists (select from pg_rewrite as r where r.ev_class = v_view and r.rulename <> '_RETURN') then
            raise exception 'views.% has triggers or rules', p_name using errcode = 'dependent_objects_still_exist',
                detail = format('views.%I has triggers or rules, which one with other columns would not have.', p_name);
        end if;
        execute format('create view views.%I as select %s from views.%I',
                       '_' || p_name, v_columns, amends.build_table(p_name, p_build));
        perform amends.copy_surroundings(v_view, format('views.%I', '_' || p_name)::regclass);
        execute format('drop view views.%I', p_name);
        execute format('alter view views.%I rename to %I', '_' || p_name, p_name);
    end;
    if exists (select from pg_roles where rolname = 'amends_service') then
        execute format('grant select on views.%I to amends_service', p_name);
    end if;
end $$;
