-- Makes the table of a new build and notes it; the first one of a name is live at once. Returns its number: of the one that
-- is live if p_first and there is one, null if one is being built already. A view that somebody else has made stays theirs.
create or replace function amends.open_build(
    p_name text, p_version int, p_key text, p_columns jsonb, p_indexes jsonb, p_types text[], p_inline boolean,
    p_first boolean
) returns int language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_build int;
    v_column jsonb;
    v_index jsonb;
    v_definitions text := '';
    v_table text;
begin
    if p_name is null or p_name !~ '^[a-z][a-z0-9_]{0,39}$' or p_name ~ '_[0-9]+$' then
        raise exception '% is not the name of a read model', p_name using errcode = 'invalid_name';
    end if;
    perform pg_advisory_xact_lock(hashtextextended('amends.builds:' || p_name, 0));
    if p_first then
        select build into v_build from amends.builds where name = p_name and state = 'live';
        if found then return v_build; end if;
    elsif exists (select from amends.builds where name = p_name and state = 'building') then
        return null;
    end if;
    if to_regclass(format('views.%I', p_name)) is not null
       and not amends.is_view_of(to_regclass(format('views.%I', p_name)), p_name) then
        raise exception 'views.% is there already and is no read model', p_name using errcode = 'duplicate_table';
    end if;
    for v_column in select value from jsonb_array_elements(p_columns) loop
        if coalesce(v_column ->> 'name', '') !~ '^[a-z][a-z0-9_]{0,39}$'
           or coalesce(v_column ->> 'type', '') <> all (array[
                  'text', 'boolean', 'bigint', 'double precision', 'numeric', 'timestamptz', 'date', 'uuid', 'jsonb']) then
            raise exception '% cannot be a column', v_column using errcode = 'invalid_name';
        end if;
        v_definitions := v_definitions || format('%I %s%s, ', v_column ->> 'name', (v_column ->> 'type')::regtype,
            case when (v_column ->> 'nullable')::boolean then '' else ' not null' end);
    end loop;
    if not p_columns @> jsonb_build_array(jsonb_build_object('name', p_key)) then
        raise exception '% is no column, and cannot be the key', p_key using errcode = 'invalid_name';
    end if;
    if p_inline then
        v_definitions := v_definitions || '_version int not null, ';
    end if;
    select coalesce(max(build), 0) + 1 into v_build from amends.builds where name = p_name;
    v_table := amends.build_table(p_name, v_build);
    execute format('create table views.%I (%sprimary key (%I)) with (fillfactor = 85)', v_table, v_definitions, p_key);
    for v_index in select value from jsonb_array_elements(p_indexes) loop
        if v_index = '[]' or exists (select from jsonb_array_elements_text(v_index) as x (name)
                                      where not p_columns @> jsonb_build_array(jsonb_build_object('name', x.name))) then
            raise exception '% cannot be an index', v_index using errcode = 'invalid_name';
        end if;
        execute format('create index on views.%I (%s)', v_table,
            (select string_agg(format('%I', name), ', ' order by n)
               from jsonb_array_elements_text(v_index) with ordinality as x (name, n)));
    end loop;
    if exists (select from pg_roles where rolname = 'amends_service') then
        execute format('grant select, insert, update, delete on views.%I to amends_service', v_table);
    end if;
    insert into amends.builds (name, build, version, state, key, columns, types, promoted_at)
    values (p_name, v_build, p_version, case when p_first then 'live' else 'building' end, p_key, p_columns, p_types,
            case when p_first then clock_timestamp() end);
    if p_first then
        perform amends.point_view(p_name, v_build);
    end if;
    return v_build;
end $$;
