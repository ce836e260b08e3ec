-- Read models: real tables in a schema of their own, each built from the first event on, with a view that points to the
-- one that is live. The service may write their rows, but tables are made and dropped only by the functions below, which
-- work with the rights of their owner and take nothing but checked names and types.

create schema if not exists views;
comment on schema views is 'Read models for everybody: read views.<name>, not the numbered tables behind it.';

create table amends.builds (
    name            text not null,
    build           int not null,
    version         int not null,
    state           text not null check (state in ('building', 'live', 'retired')),
    key             text not null,
    columns         jsonb not null,
    types           text[] not null,
    generation      int not null default 0,
    transaction_id  bigint not null default 0,
    position        bigint not null default 0,
    events          bigint not null default 0,
    expected        bigint not null default 0,
    runner          text,
    lease_until     timestamptz,
    failure         text,
    started_at      timestamptz not null default clock_timestamp(),
    moved_at        timestamptz,
    caught_up_at    timestamptz,
    promoted_at     timestamptz,
    primary key (name, build)
);
create unique index builds_live on amends.builds (name) where state = 'live';
create unique index builds_building on amends.builds (name) where state = 'building';
comment on table amends.builds is 'The tables of every read model: one is live, one may be building, others are retired until they are dropped.';
comment on column amends.builds.version is 'The version of the code that writes it.';
comment on column amends.builds.generation is 'With transaction_id and position the place in the feed that it has got to: its checkpoint.';
comment on column amends.builds.events is 'How many events went into it.';
comment on column amends.builds.expected is 'How many there were when it was begun.';
comment on column amends.builds.runner is 'Who follows the feed for it, until when its lease holds.';

create table amends.set_aside (
    name        text not null,
    build       int not null,
    key         text not null,
    error       text not null,
    since       timestamptz not null default clock_timestamp(),
    wish        text check (wish in ('retry', 'skip')),
    primary key (name, build, key),
    foreign key (name, build) references amends.builds on delete cascade
);
comment on table amends.set_aside is 'Keys of a read model whose next event cannot be applied; all other keys go on.';
comment on column amends.set_aside.wish is 'What a person wants: its runner does it.';

create table amends.set_aside_events (
    name      text not null,
    build     int not null,
    key       text not null,
    position  bigint not null,
    primary key (name, build, key, position),
    foreign key (name, build, key) references amends.set_aside on delete cascade
);
comment on table amends.set_aside_events is 'The event that could not be applied, and those of the same key that wait behind it.';

-- The name of a build's table.
create function amends.build_table(p_name text, p_build int) returns text language sql immutable as $$
    select p_name || '_' || p_build
$$;

-- Lets the view of a read model show a build. Who may read the view before may read it after.
create function amends.point_view(p_name text, p_build int) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_columns text;
    v_grant record;
    v_grants aclitem[];
begin
    select string_agg(format('%I', c ->> 'name'), ', ' order by n) into v_columns
      from amends.builds as b cross join jsonb_array_elements(b.columns) with ordinality as x (c, n)
     where b.name = p_name and b.build = p_build;
    begin
        execute format('create or replace view views.%I as select %s from views.%I',
                       p_name, v_columns, amends.build_table(p_name, p_build));
    exception when invalid_table_definition then  -- other columns: a new view, readable by the same roles
        select c.relacl into v_grants from pg_class as c
         where c.relname = p_name and c.relnamespace = 'views'::regnamespace;
        execute format('drop view views.%I', p_name);
        execute format('create view views.%I as select %s from views.%I',
                       p_name, v_columns, amends.build_table(p_name, p_build));
        for v_grant in
            select coalesce(r.rolname, 'public') as grantee, r.oid is null as everybody
              from aclexplode(v_grants) as g left join pg_roles as r on r.oid = g.grantee
             where g.privilege_type = 'SELECT'
        loop
            if v_grant.everybody then
                execute format('grant select on views.%I to public', p_name);
            else
                execute format('grant select on views.%I to %I', p_name, v_grant.grantee);
            end if;
        end loop;
    end;
    if exists (select from pg_roles where rolname = 'amends_service') then
        execute format('grant select on views.%I to amends_service', p_name);
    end if;
end $$;

-- Makes the table of a new build and notes it; the first one of a name is live at once. Returns its number: of the one that
-- is live if p_first and there is one, null if one is being built already.
create function amends.open_build(
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
    perform pg_advisory_xact_lock(hashtextextended('amends.builds:' || p_name, 0));
    if p_first then
        select build into v_build from amends.builds where name = p_name and state = 'live';
        if found then return v_build; end if;
    elsif exists (select from amends.builds where name = p_name and state = 'building') then
        return null;
    end if;
    if p_name !~ '^[a-z][a-z0-9_]{0,39}$' or p_name ~ '_[0-9]+$' then
        raise exception '% is not the name of a read model', p_name using errcode = 'invalid_name';
    end if;
    for v_column in select value from jsonb_array_elements(p_columns) loop
        if v_column ->> 'name' !~ '^[a-z][a-z0-9_]{0,39}$'
           or v_column ->> 'type' <> all (array['text', 'boolean', 'bigint', 'double precision', 'numeric', 'timestamptz',
                                                'date', 'uuid', 'jsonb']) then
            raise exception '% cannot be a column', v_column using errcode = 'invalid_name';
        end if;
        v_definitions := v_definitions || format('%I %s%s, ', v_column ->> 'name', v_column ->> 'type',
            case when (v_column ->> 'nullable')::boolean then '' else ' not null' end);
    end loop;
    if p_inline then
        v_definitions := v_definitions || '_version int not null, ';
    end if;
    select coalesce(max(build), 0) + 1 into v_build from amends.builds where name = p_name;
    v_table := amends.build_table(p_name, v_build);
    execute format('create table views.%I (%sprimary key (%I)) with (fillfactor = 85)', v_table, v_definitions, p_key);
    for v_index in select value from jsonb_array_elements(p_indexes) loop
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

-- Whether there is no event of these types between two places in the feed, so that who is at the one is at the other. The
-- later place must lie below everything that is still being written.
create function amends.nothing_between(
    p_types text[], p_generation int, p_transaction bigint, p_position bigint,
    p_to_generation int, p_to_transaction bigint, p_to_position bigint
) returns boolean language sql stable as $$
    select (p_generation, p_transaction, p_position) >= (p_to_generation, p_to_transaction, p_to_position)
        or ((p_to_transaction::text::xid8 < pg_snapshot_xmin(pg_current_snapshot())
             or p_to_generation < (select max(g.generation) from amends.generations as g))
            and not exists (
                select from amends.events as e
                 where e.type = any (p_types)
                   and (e.generation, e.transaction_id, e.position)
                       > (p_generation, p_transaction::text::xid8, p_position)
                   and (e.generation, e.transaction_id, e.position)
                       <= (p_to_generation, p_to_transaction::text::xid8, p_to_position)))
$$;

-- Switches a read model to another build in one transaction: who reads sees the old one or the new one, never less than
-- before. outcome: promoted; live (it is already); unknown; behind (it has not got as far as the live one).
create function amends.promote_build(p_name text, p_build int) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_old amends.builds;
    v_new amends.builds;
begin
    perform set_config('lock_timeout', '250ms', true);  -- who waits here holds the feed back
    perform pg_advisory_xact_lock(hashtextextended('amends.builds:' || p_name, 0));
    select b.* into v_new from amends.builds as b where b.name = p_name and b.build = p_build;
    if not found then return 'unknown'; end if;
    if v_new.state = 'live' then return 'live'; end if;
    select b.* into v_old from amends.builds as b where b.name = p_name and b.state = 'live' for no key update;
    select b.* into v_new from amends.builds as b where b.name = p_name and b.build = p_build for no key update;
    if v_new.caught_up_at is null or v_old.build is not null and not amends.nothing_between(
        v_new.types, v_new.generation, v_new.transaction_id, v_new.position,
        v_old.generation, v_old.transaction_id, v_old.position) then
        return 'behind';
    end if;
    update amends.builds set state = 'retired' where name = p_name and build = v_old.build;
    update amends.builds set state = 'live', promoted_at = clock_timestamp() where name = p_name and build = p_build;
    perform amends.point_view(p_name, p_build);
    return 'promoted';
end $$;

-- Drops a build that is not live. outcome: dropped; live; unknown.
create function amends.drop_build(p_name text, p_build int) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_state text;
begin
    perform set_config('lock_timeout', '250ms', true);  -- who waits here holds the feed back
    perform pg_advisory_xact_lock(hashtextextended('amends.builds:' || p_name, 0));
    select state into v_state from amends.builds where name = p_name and build = p_build for update;
    if not found then return 'unknown'; end if;
    if v_state = 'live' then return 'live'; end if;
    delete from amends.builds where name = p_name and build = p_build;
    execute format('drop table views.%I', amends.build_table(p_name, p_build));
    return 'dropped';
end $$;

-- Puts rows, as a JSON array of objects, into a build's table, and takes keys out of it.
create function amends.put_rows(p_name text, p_build int, p_rows json, p_gone text[]) returns void
language plpgsql as $$
declare
    v_table text := amends.build_table(p_name, p_build);
    v_key text;
    v_changes text;
    v_inline boolean;
begin
    select b.key, string_agg(format('%1$I = excluded.%1$I', c ->> 'name'), ', ') into v_key, v_changes
      from amends.builds as b cross join jsonb_array_elements(b.columns) as c
     where b.name = p_name and b.build = p_build group by b.key;
    if json_array_length(p_rows) > 0 then
        v_inline := (p_rows -> 0 -> '_version') is not null;
        execute format('insert into views.%1$I as t select * from json_populate_recordset(null::views.%1$I, $1)'
                       ' on conflict (%2$I) do update set %3$s%4$s', v_table, v_key, v_changes,
                       case when v_inline then ', _version = excluded._version where t._version < excluded._version'
                            else '' end) using p_rows;
    end if;
    if cardinality(p_gone) > 0 then
        execute format('delete from views.%I where %I = any ($1)', v_table, v_key) using p_gone;
    end if;
end $$;

-- The rows of a build with these keys, as one JSON array.
create function amends.get_rows(p_name text, p_build int, p_keys text[]) returns json language plpgsql stable as $$
declare
    v_key text;
    v_rows json;
begin
    select b.key into v_key from amends.builds as b where b.name = p_name and b.build = p_build;
    execute format('select coalesce(json_agg(t), ''[]'') from views.%I as t where %I = any ($1)',
                   amends.build_table(p_name, p_build), v_key) using p_keys into v_rows;
    return v_rows;
end $$;

-- Why a row cannot be put into a build's table; null if it can. Nothing is kept.
create function amends.try_row(p_name text, p_build int, p_row json) returns text language plpgsql as $$
begin
    perform amends.put_rows(p_name, p_build, json_build_array(p_row), '{}');
    raise exception 'it fits' using errcode = 'AM000';
exception
    when sqlstate 'AM000' then return null;
    when others then return sqlerrm;
end $$;

-- One commit of a runner: rows, the checkpoint, and what is set aside, if nobody else has moved the checkpoint or taken the
-- lease. It is safe to lose with synchronous_commit off: rows and checkpoint are lost together, and are made again.
-- p_aside is [{"key", "error", "positions"}]; without an error the key waits already, and its events wait behind it.
-- Keys in p_cleared wait no longer. Returns whether it was committed.
create function amends.write_build(
    p_name text, p_build int, p_runner text, p_lease interval, p_from bigint[], p_to bigint[], p_events bigint,
    p_rows json, p_gone text[], p_cleared text[], p_aside jsonb, p_caught_up boolean
) returns boolean language plpgsql as $$
begin
    perform set_config('synchronous_commit', 'off', true);
    update amends.builds
       set generation = p_to[1], transaction_id = p_to[2], position = p_to[3], events = events + p_events,
           moved_at = clock_timestamp(), lease_until = clock_timestamp() + p_lease, failure = null,
           caught_up_at = case when p_caught_up then coalesce(caught_up_at, clock_timestamp()) else caught_up_at end
     where name = p_name and build = p_build and runner = p_runner
       and (generation, transaction_id, position) = (p_from[1], p_from[2], p_from[3]);
    if not found then return false; end if;
    perform amends.put_rows(p_name, p_build, p_rows, p_gone);
    delete from amends.set_aside where name = p_name and build = p_build and key = any (p_cleared);
    insert into amends.set_aside (name, build, key, error)
    select p_name, p_build, a ->> 'key', a ->> 'error' from jsonb_array_elements(p_aside) as a where a ->> 'error' is not null;
    insert into amends.set_aside_events (name, build, key, position)
    select p_name, p_build, a ->> 'key', p::bigint
      from jsonb_array_elements(p_aside) as a cross join jsonb_array_elements_text(a -> 'positions') as p;
    return true;
end $$;

-- Takes the lease of a build if nobody has it: it was given back, it is over, or its executor was ended.
create function amends.take_build(p_name text, p_build int, p_runner text, p_lease interval) returns boolean
language plpgsql as $$
begin
    update amends.builds as b set runner = p_runner, lease_until = clock_timestamp() + p_lease
     where b.name = p_name and b.build = p_build
       and (b.runner is null or b.runner = p_runner or b.lease_until < clock_timestamp()
            or exists (select from amends.executors as x
                        where x.id = split_part(b.runner, '/', 1) and x.ended_at is not null));
    return found;
end $$;

-- Rows of a read model's live build, in the order of their keys, as a JSON array: those whose columns have these values
-- ({"column": "value"}), after a key. Raises undefined_column for a column that it does not have.
create function amends.view_rows(p_name text, p_where jsonb, p_after text, p_limit int) returns json
language plpgsql stable as $$
declare
    v_build amends.builds;
    v_where text := '';
    v_filter record;
    v_rows json;
begin
    select b.* into v_build from amends.builds as b where b.name = p_name and b.state = 'live';
    for v_filter in
        select w.key, c ->> 'type' as type
          from jsonb_each_text(p_where) as w
          left join jsonb_array_elements(v_build.columns) as c on c ->> 'name' = w.key
    loop
        if v_filter.type is null then
            raise exception '% is no column of %', v_filter.key, p_name using errcode = 'undefined_column';
        end if;
        v_where := v_where || format(' and %I = ($1 ->> %L)::%s', v_filter.key, v_filter.key, v_filter.type);
    end loop;
    execute format('select coalesce(json_agg(t), ''[]'') from (select * from views.%1$I where ($2 is null or %2$I > $2)%3$s'
                   ' order by %2$I limit $3) as t', p_name, v_build.key, v_where)
      using p_where, p_after, p_limit into v_rows;
    return v_rows;
end $$;

-- Compares two builds row by row in the columns that both have: how many keys there are, and those that differ, as JSON.
create function amends.compare_builds(p_name text, p_one int, p_other int, p_limit int) returns json
language plpgsql stable as $$
declare
    v_one amends.builds;
    v_other amends.builds;
    v_columns text[];
    v_found json;
begin
    select b.* into v_one from amends.builds as b where b.name = p_name and b.build = p_one;
    select b.* into v_other from amends.builds as b where b.name = p_name and b.build = p_other;
    select array_agg(c ->> 'name' order by n) into v_columns
      from jsonb_array_elements(v_one.columns) with ordinality as x (c, n)
     where exists (select from jsonb_array_elements(v_other.columns) as o
                    where o ->> 'name' = c ->> 'name' and o ->> 'type' = c ->> 'type');
    execute format(
        'with pair as (select coalesce(a.%1$I, b.%2$I) as key, to_json(a) as one, to_json(b) as other,'
        '   (%3$s) is distinct from (%4$s) or a.%1$I is null or b.%2$I is null as differs'
        '   from views.%5$I as a full join views.%6$I as b on a.%1$I = b.%2$I)'
        ' select json_build_object(''keys'', (select count(*) from pair), ''columns'', $1, ''differing'','
        '   (select coalesce(json_agg(d), ''[]'') from (select key, one, other from pair where differs'
        '     order by key limit $2) as d))',
        v_one.key, v_other.key,
        (select string_agg(format('a.%I', name), ', ') from unnest(v_columns) as name),
        (select string_agg(format('b.%I', name), ', ') from unnest(v_columns) as name),
        amends.build_table(p_name, p_one), amends.build_table(p_name, p_other))
      using v_columns, p_limit into v_found;
    return v_found;
end $$;
