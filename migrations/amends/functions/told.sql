-- A stretch of a saga's story: so many events at most, and none after the one that makes it longer than so many bytes.
create or replace function amends.told(p_saga text, p_after int, p_rows int, p_bytes int)
returns table (version int, id uuid, type text, schema_version int, data text, recorded_at timestamptz)
language plpgsql stable as $$
#variable_conflict use_column
declare
    v_bytes int := 0;
begin
    for version, id, type, schema_version, data, recorded_at in
        select e.version, e.id, e.type, e.schema_version, e.data::text, e.recorded_at from amends.events as e
         where e.stream = 'saga-' || p_saga and e.version > p_after order by e.version limit p_rows
    loop
        return next;
        v_bytes := v_bytes + octet_length(data);
        exit when v_bytes > p_bytes;
    end loop;
end $$;
