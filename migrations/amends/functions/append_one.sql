-- The most frequent append, one event to one stream, in as few statements as there can be; null if it is another one,
-- or if it cannot be done: amends.append_locked then says why.
create or replace function amends.append_one(p_events jsonb, p_expected jsonb) returns text language plpgsql as $$
#variable_conflict use_column
declare
    v_event jsonb := p_events -> 0;
    v_stream text := v_event ->> 'stream';
    v_version int;
    v_generation int;
    v_position bigint;
begin
    if jsonb_array_length(p_events) <> 1 or p_expected - v_stream <> '{}' then return null; end if;
    select coalesce(max(e.version), 0) into v_version from amends.events as e where e.stream = v_stream;
    if (p_expected ->> v_stream)::int <> v_version then return null; end if;
    insert into amends.events (id, stream, version, type, schema_version, data, metadata)
    values ((v_event ->> 'id')::uuid, v_stream, v_version + 1, v_event ->> 'type',
            (v_event ->> 'schema_version')::int, v_event -> 'data', v_event -> 'metadata')
        on conflict (id) do nothing
    returning generation, position into v_generation, v_position;
    if v_position is null then return null; end if;
    return v_generation || '-' || pg_current_xact_id() || '-' || v_position || '-' || replace(v_event ->> 'id', '-', '') || '-'
           || amends.as_of();
end $$;
