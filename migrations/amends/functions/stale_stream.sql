-- The first stream whose version is not what {"stream": version} expects; no row if all are.
create or replace function amends.stale_stream(p_expected jsonb)
returns table (stream text, expected int, actual int) language plpgsql as $$
#variable_conflict use_column
begin
    return query
    select e.key, e.value::int, v.version
      from jsonb_each_text(p_expected) as e
     cross join lateral (select coalesce(max(x.version), 0) as version
                           from amends.events as x where x.stream = e.key) as v
     where v.version <> e.value::int
     limit 1;
end $$;
