-- Compares a page of two builds row by row in the columns that both have: the rows after a key, in the order of keys, as many
-- as there are keys in p_page, or all of them at the end. As JSON: how many keys there are, the last of them (null if there
-- are no more after it), the columns, and at most p_limit of those that differ.
create or replace function amends.compare_builds(
    p_name text, p_one int, p_other int, p_after text, p_page int, p_limit int
) returns json language plpgsql stable as $$
declare
    v_one amends.builds;
    v_other amends.builds;
    v_columns text[];
    v_last text;
    v_found json;
begin
    select b.* into v_one from amends.builds as b where b.name = p_name and b.build = p_one;
    select b.* into v_other from amends.builds as b where b.name = p_name and b.build = p_other;
    select array_agg(c ->> 'name' order by n) into v_columns
      from jsonb_array_elements(v_one.columns) with ordinality as x (c, n)
     where exists (select from jsonb_array_elements(v_other.columns) as o
                    where o ->> 'name' = c ->> 'name' and o ->> 'type' = c ->> 'type');
    execute format(
        'select key from ((select %1$I as key from views.%3$I where $1 is null or %1$I > $1 order by 1 limit $2) union'
        '                 (select %2$I from views.%4$I where $1 is null or %2$I > $1 order by 1 limit $2)) as k'
        ' order by key offset $2 - 1 limit 1',
        v_one.key, v_other.key, amends.build_table(p_name, p_one), amends.build_table(p_name, p_other))
      using p_after, p_page into v_last;
    execute format(
        'with one as materialized (select * from views.%5$I'
        '   where ($3 is null or %1$I > $3) and ($4 is null or %1$I <= $4)),'
        ' other as materialized (select * from views.%6$I'
        '   where ($3 is null or %2$I > $3) and ($4 is null or %2$I <= $4)),'
        ' pair as (select coalesce(a.%1$I, b.%2$I) as key,'
        '   (%3$s) is distinct from (%4$s) or a.%1$I is null or b.%2$I is null as differs'
        '   from one as a full join other as b on a.%1$I = b.%2$I)'
        ' select json_build_object(''keys'', (select count(*) from pair), ''columns'', $1, ''last'', $4, ''differing'','
        '   (select coalesce(json_agg(d), ''[]'') from (select p.key,'
        '       (select to_json(r) from (select %7$s from views.%5$I where %1$I = p.key) as r) as one,'
        '       (select to_json(r) from (select %8$s from views.%6$I where %2$I = p.key) as r) as other'
        '     from (select key from pair where differs order by key limit $2) as p order by p.key) as d))',
        v_one.key, v_other.key,
        (select string_agg(format('a.%I', name), ', ') from unnest(v_columns) as name),
        (select string_agg(format('b.%I', name), ', ') from unnest(v_columns) as name),
        amends.build_table(p_name, p_one), amends.build_table(p_name, p_other),
        amends.exact_columns(p_name, p_one), amends.exact_columns(p_name, p_other))
      using v_columns, p_limit, p_after, v_last into v_found;
    return v_found;
end $$;
