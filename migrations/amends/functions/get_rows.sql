-- The rows of a build with these keys, as one JSON array. Numeric columns are texts, so that they are read exactly.
create or replace function amends.get_rows(p_name text, p_build int, p_keys text[]) returns json
language plpgsql stable as $$
declare
    v_key text;
    v_rows json;
begin
    select b.key into v_key from amends.builds as b where b.name = p_name and b.build = p_build;
    execute format('select coalesce(json_agg(t), ''[]'') from (select %s from views.%I where %I = any ($1)) as t',
                   amends.exact_columns(p_name, p_build), amends.build_table(p_name, p_build), v_key)
      using p_keys into v_rows;
    return v_rows;
end $$;
