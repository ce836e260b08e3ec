-- The columns of a build's table as they are read into JSON: a number of JSON has no scale, and readers round it.
create or replace function amends.exact_columns(p_name text, p_build int) returns text language sql stable as $$
    select string_agg(format(case when a.atttypid = 'numeric'::regtype then '%1$I::text as %1$I' else '%1$I' end, a.attname),
                      ', ' order by a.attnum)
      from pg_attribute as a
     where a.attrelid = to_regclass(format('views.%I', amends.build_table(p_name, p_build)))
       and a.attnum > 0 and not a.attisdropped
$$;
