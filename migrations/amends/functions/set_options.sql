-- Sets the options of a table or a view, such as security_invoker.
create or replace function amends.set_options(p_of regclass, p_options text[]) returns void language plpgsql as $$
begin
    if cardinality(p_options) > 0 then
        execute format('alter %s %s set (%s)',
            case (select c.relkind from pg_class as c where c.oid = p_of) when 'v' then 'view' else 'table' end, p_of,
            (select string_agg(format('%I = %L', split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)), ', ')
               from unnest(p_options) as o));
    end if;
end $$;
