-- Puts rows, as a JSON array of objects, into a build's table, and takes keys out of it first: what they held is free then.
-- What the table checks only at the commit is checked now, so that its error is one of this call.
create or replace function amends.put_rows(p_name text, p_build int, p_rows json, p_gone text[]) returns void
language plpgsql as $$
declare
    v_table text := amends.build_table(p_name, p_build);
    v_key text;
    v_columns text;
    v_changes text;
    v_inline boolean;
    v_deferred record;
begin
    select b.key, string_agg(format('%I', c ->> 'name'), ', '),
           string_agg(format('%1$I = excluded.%1$I', c ->> 'name'), ', ')
      into v_key, v_columns, v_changes
      from amends.builds as b cross join jsonb_array_elements(b.columns) as c
     where b.name = p_name and b.build = p_build group by b.key;
    if cardinality(p_gone) > 0 then
        execute format('delete from views.%I where %I = any ($1)', v_table, v_key) using p_gone;
    end if;
    if json_array_length(p_rows) > 0 then
        v_inline := (p_rows -> 0 -> '_version') is not null;
        v_columns := v_columns || case when v_inline then ', _version' else '' end;
        execute format('insert into views.%1$I as t (%2$s) select %2$s from json_populate_recordset(null::views.%1$I, $1)'
                       ' on conflict (%3$I) do update set %4$s%5$s', v_table, v_columns, v_key, v_changes,
                       case when v_inline then ', _version = excluded._version where t._version < excluded._version'
                            else '' end) using p_rows;
    end if;
    for v_deferred in
        select n.nspname, c.conname from pg_constraint as c join pg_namespace as n on n.oid = c.connamespace
         where c.condeferrable and has_schema_privilege(n.oid, 'usage')
           and to_regclass(format('views.%I', v_table)) in (c.conrelid, c.confrelid)
    loop
        execute format('set constraints %I.%I immediate', v_deferred.nspname, v_deferred.conname);
    end loop;
end $$;
