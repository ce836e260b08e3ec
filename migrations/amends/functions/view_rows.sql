-- Rows of a read model's live build, in the order of their keys, as a JSON array: those whose columns have these values
-- ({"column": "value"}), after a key. Raises undefined_column for a column that it does not have,
-- and undefined_table without a live build.
create or replace function amends.view_rows(p_name text, p_where jsonb, p_after text, p_limit int) returns json
language plpgsql stable as $$
declare
    v_build amends.builds;
    v_where text := '';
    v_columns text;
    v_filter record;
    v_rows json;
begin
    select b.* into v_build from amends.builds as b where b.name = p_name and b.state = 'live';
    if not found then
        raise exception '% has no table', p_name using errcode = 'undefined_table';
    end if;
    for v_filter in
        select w.key, c ->> 'type' as type
          from jsonb_each_text(p_where) as w
          left join jsonb_array_elements(v_build.columns) as c on c ->> 'name' = w.key
    loop
        if v_filter.type is null then
            raise exception '% is no column of %', v_filter.key, p_name using errcode = 'undefined_column';
        end if;
        v_where := v_where || format(' and v.%I = ($1 ->> %L)::%s', v_filter.key, v_filter.key, v_filter.type::regtype);
    end loop;
    select string_agg(format(case when c ->> 'type' = 'numeric' then 'v.%1$I::text as %1$I' else 'v.%1$I' end, c ->> 'name'),
                      ', ' order by n) into v_columns
      from jsonb_array_elements(v_build.columns) with ordinality as x (c, n);
    execute format('select coalesce(json_agg(t), ''[]'') from (select %4$s from views.%1$I as v'
                   ' where ($2 is null or v.%2$I > $2)%3$s order by v.%2$I limit $3) as t',
                   p_name, v_build.key, v_where, coalesce(v_columns, '*'))
      using p_where, p_after, p_limit into v_rows;
    return v_rows;
end $$;
