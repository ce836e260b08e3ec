-- A row that its table does not take sets its own key aside, however long that is; what a person skipped stays skipped in
-- a rebuild; a promotion neither shows less nor changes who may read.

-- What stands for a key in an index: a key may be longer than an index takes.
create function amends.key_digest(p_key text) returns bytea language sql immutable strict parallel safe as $$
    select sha256(convert_to(p_key, 'UTF8'))
$$;

alter table amends.set_aside_events
    drop constraint set_aside_events_name_build_key_fkey, drop constraint set_aside_events_pkey;
alter table amends.set_aside
    drop constraint set_aside_pkey,
    add column digest bytea generated always as (amends.key_digest(key)) stored,
    add primary key (name, build, digest);
alter table amends.set_aside_events
    add column digest bytea generated always as (amends.key_digest(key)) stored,
    add primary key (name, build, digest, position),
    add foreign key (name, build, digest) references amends.set_aside on delete cascade;

create table amends.skipped (
    name      text not null,
    key       text not null,
    position  bigint not null,
    build     int not null,
    at        timestamptz not null default clock_timestamp(),
    digest    bytea generated always as (amends.key_digest(key)) stored,
    primary key (name, digest, position)
);
comment on table amends.skipped is 'Events that a person let a read model leave out: every table of it leaves them out.';
comment on column amends.skipped.build is 'The table in which the event was set aside.';

insert into amends.skipped (name, key, position, build, at)
select e.data ->> 'projection', e.data ->> 'key', x.position, (e.data ->> 'build')::int, e.recorded_at
  from amends.events as e
  join amends.events as x on x.id = (e.data ->> 'event_id')::uuid
 where e.type = 'set-aside-skipped'
   and not exists (select from amends.set_aside_events as a
                    where a.name = e.data ->> 'projection' and a.key = e.data ->> 'key' and a.position = x.position)
    on conflict do nothing;

-- Puts rows, as a JSON array of objects, into a build's table, and takes keys out of it first: what they held is free then.
-- What the table checks only at the commit is checked now, so that its error is one of this call.
create or replace function amends.put_rows(p_name text, p_build int, p_rows json, p_gone text[]) returns void
language plpgsql as $$
declare
    v_table text := amends.build_table(p_name, p_build);
    v_key text;
    v_columns text;
    v_changes text;
    v_inline boolean;
    v_deferred record;
begin
    select b.key, string_agg(format('%I', c ->> 'name'), ', '),
           string_agg(format('%1$I = excluded.%1$I', c ->> 'name'), ', ')
      into v_key, v_columns, v_changes
      from amends.builds as b cross join jsonb_array_elements(b.columns) as c
     where b.name = p_name and b.build = p_build group by b.key;
    if cardinality(p_gone) > 0 then
        execute format('delete from views.%I where %I = any ($1)', v_table, v_key) using p_gone;
    end if;
    if json_array_length(p_rows) > 0 then
        v_inline := (p_rows -> 0 -> '_version') is not null;
        v_columns := v_columns || case when v_inline then ', _version' else '' end;
        execute format('insert into views.%1$I as t (%2$s) select %2$s from json_populate_recordset(null::views.%1$I, $1)'
                       ' on conflict (%3$I) do update set %4$s%5$s', v_table, v_columns, v_key, v_changes,
                       case when v_inline then ', _version = excluded._version where t._version < excluded._version'
                            else '' end) using p_rows;
    end if;
    for v_deferred in
        select n.nspname, c.conname from pg_constraint as c join pg_namespace as n on n.oid = c.connamespace
         where c.condeferrable and has_schema_privilege(n.oid, 'usage')
           and to_regclass(format('views.%I', v_table)) in (c.conrelid, c.confrelid)
    loop
        execute format('set constraints %I.%I immediate', v_deferred.nspname, v_deferred.conname);
    end loop;
end $$;
comment on function amends.try_row(text, int, json) is 'For servers that are older than this migration.';

-- One commit of a runner: rows, the checkpoint, and what is set aside, if nobody else has moved the checkpoint or taken the
-- lease. It is safe to lose with synchronous_commit off: rows and checkpoint are lost together, and are made again.
-- p_aside is [{"key", "error", "positions"}]; without an error the key waits already, and its events wait behind it.
-- The key p_cleared waits no longer, since p_granted was wished: what a person has wished of it since then stays, if the same
-- event is set aside once more. p_skipped, [{"key", "position"}], is what a person let it leave out. Returns whether it was
-- committed.
comment on function amends.write_build(
    text, int, text, interval, bigint[], bigint[], bigint, json, text[], text[], jsonb, boolean)
is 'For servers that are older than this migration.';
create function amends.write_build(
    p_name text, p_build int, p_runner text, p_lease interval, p_from bigint[], p_to bigint[], p_events bigint,
    p_rows json, p_gone text[], p_cleared text, p_granted text, p_aside jsonb, p_caught_up boolean, p_skipped jsonb
) returns boolean language plpgsql as $$
declare
    v_wish text;
    v_first bigint;
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
    select s.wish into v_wish from amends.set_aside as s
     where s.name = p_name and s.build = p_build and s.digest = amends.key_digest(p_cleared) for update;
    select min(a.position) into v_first from amends.set_aside_events as a
     where a.name = p_name and a.build = p_build and a.digest = amends.key_digest(p_cleared);
    delete from amends.set_aside where name = p_name and build = p_build and digest = amends.key_digest(p_cleared);
    insert into amends.skipped (name, key, position, build)
    select p_name, s ->> 'key', (s ->> 'position')::bigint, p_build from jsonb_array_elements(p_skipped) as s
        on conflict do nothing;
    insert into amends.set_aside (name, build, key, error)
    select p_name, p_build, a ->> 'key', a ->> 'error' from jsonb_array_elements(p_aside) as a
     where a ->> 'error' is not null;
    insert into amends.set_aside_events (name, build, key, position)
    select p_name, p_build, a ->> 'key', p::bigint
      from jsonb_array_elements(p_aside) as a cross join jsonb_array_elements_text(a -> 'positions') as p;
    if v_wish <> p_granted then
        update amends.set_aside as s set wish = v_wish
         where s.name = p_name and s.build = p_build and s.digest = amends.key_digest(p_cleared)
           and v_first = (select min(a.position) from amends.set_aside_events as a
                           where a.name = p_name and a.build = p_build and a.digest = s.digest);
    end if;
    return true;
end $$;

-- The keys that one build shows less of than another one: they are set aside in it, and there not at all or later.
create function amends.shown_less(p_name text, p_build int, p_than int) returns setof text language sql stable as $$
    select a.key from amends.set_aside as a
     where a.name = p_name and a.build = p_build
       and (select min(x.position) from amends.set_aside_events as x
             where x.name = p_name and x.build = p_build and x.digest = a.digest)
           < coalesce((select min(x.position) from amends.set_aside_events as x
                        where x.name = p_name and x.build = p_than and x.digest = a.digest), 9223372036854775807)
     order by a.since, a.key
$$;

-- A role as statements name it.
create function amends.role_named(p_role oid) returns text language sql stable as $$
    select case when p_role = 0 then 'public' else format('%I', pg_get_userbyid(p_role)) end
$$;

-- Gives a table or a view the rights on another one, as a whole and by column, with the right to pass them on.
create function amends.copy_grants(p_from regclass, p_to regclass) returns void language plpgsql as $$
declare
    v_from pg_class;
    v_to pg_class;
    v_each record;
begin
    select c.* into v_from from pg_class as c where c.oid = p_from;
    select c.* into v_to from pg_class as c where c.oid = p_to;
    for v_each in
        select g.grantee from aclexplode(coalesce(v_to.relacl, acldefault('r', v_to.relowner))) as g
        union select g.grantee from pg_attribute as a cross join aclexplode(a.attacl) as g where a.attrelid = p_to
    loop
        execute format('revoke all on %s from %s cascade', p_to, amends.role_named(v_each.grantee));
    end loop;
    for v_each in
        select '' as in_column, g.* from aclexplode(coalesce(v_from.relacl, acldefault('r', v_from.relowner))) as g
        union all
        select format('(%I)', a.attname), g.* from pg_attribute as a cross join aclexplode(a.attacl) as g
         where a.attrelid = p_from and not a.attisdropped
           and exists (select from pg_attribute as t
                        where t.attrelid = p_to and t.attname = a.attname and not t.attisdropped)
    loop
        execute format('grant %s %s on %s to %s%s', v_each.privilege_type, v_each.in_column, p_to,
                       amends.role_named(v_each.grantee),
                       case when v_each.is_grantable then ' with grant option' else '' end);
    end loop;
end $$;

-- Gives a table the row level security of another one.
create function amends.copy_policies(p_from regclass, p_to regclass) returns void language plpgsql as $$
declare
    v_from pg_class;
    v_each record;
begin
    select c.* into v_from from pg_class as c where c.oid = p_from;
    for v_each in select p.polname from pg_policy as p where p.polrelid = p_to loop
        execute format('drop policy %I on %s', v_each.polname, p_to);
    end loop;
    for v_each in
        select p.*, pg_get_expr(p.polqual, p.polrelid) as sees, pg_get_expr(p.polwithcheck, p.polrelid) as writes,
               (select string_agg(amends.role_named(r), ', ') from unnest(p.polroles) as r) as roles
          from pg_policy as p where p.polrelid = p_from
    loop
        execute format('create policy %I on %s as %s for %s to %s', v_each.polname, p_to,
                       case when v_each.polpermissive then 'permissive' else 'restrictive' end,
                       case v_each.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update'
                                          when 'd' then 'delete' else 'all' end, v_each.roles)
             || coalesce(' using (' || v_each.sees || ')', '') || coalesce(' with check (' || v_each.writes || ')', '');
    end loop;
    execute format('alter table %s %s row level security, %s force row level security', p_to,
                   case when v_from.relrowsecurity then 'enable' else 'disable' end,
                   case when v_from.relforcerowsecurity then '' else 'no' end);
end $$;

-- Gives a table or a view what others have made of another one: rights, comments, options, policies, and at last its owner.
create function amends.copy_surroundings(p_from regclass, p_to regclass) returns void language plpgsql as $$
declare
    v_from pg_class;
    v_kind text;
    v_each record;
begin
    select c.* into v_from from pg_class as c where c.oid = p_from;
    v_kind := case v_from.relkind when 'v' then 'view' else 'table' end;
    perform amends.copy_grants(p_from, p_to);
    execute format('comment on %s %s is %L', v_kind, p_to, obj_description(p_from, 'pg_class'));
    for v_each in
        select a.attname, col_description(p_from, a.attnum) as told
          from pg_attribute as a join pg_attribute as t on t.attrelid = p_to and t.attname = a.attname
         where a.attrelid = p_from and a.attnum > 0 and not a.attisdropped and not t.attisdropped
           and col_description(p_from, a.attnum) is distinct from col_description(p_to, t.attnum)
    loop
        execute format('comment on column %s.%I is %L', p_to, v_each.attname, v_each.told);
    end loop;
    perform amends.set_options(p_to, v_from.reloptions);
    if v_kind = 'table' then
        perform amends.copy_policies(p_from, p_to);
    end if;
    if v_from.relowner <> (select c.relowner from pg_class as c where c.oid = p_to) then
        execute format('alter %s %s owner to %I', v_kind, p_to, pg_get_userbyid(v_from.relowner));
    end if;
end $$;

-- Sets the options of a table or a view, such as security_invoker.
create function amends.set_options(p_of regclass, p_options text[]) returns void language plpgsql as $$
begin
    if cardinality(p_options) > 0 then
        execute format('alter %s %s set (%s)',
            case (select c.relkind from pg_class as c where c.oid = p_of) when 'v' then 'view' else 'table' end, p_of,
            (select string_agg(format('%I = %L', split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)), ', ')
               from unnest(p_options) as o));
    end if;
end $$;

-- Whether a relation is a view that reads a table of a read model, so that it is not one that somebody else has made.
create function amends.is_view_of(p_view regclass, p_name text, p_build int default null) returns boolean
language sql stable as $$
    select exists (
        select from pg_class as c
          join pg_rewrite as r on r.ev_class = c.oid and r.rulename = '_RETURN'
          join pg_depend as d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
                             and d.refclassid = 'pg_class'::regclass
          join amends.builds as b on b.name = p_name and (p_build is null or b.build = p_build)
                                 and d.refobjid = to_regclass(format('views.%I', amends.build_table(b.name, b.build)))
         where c.oid = p_view and c.relkind = 'v')
$$;

-- Lets the view of a read model show a build. What others have made of the view stays: rights, comments, options, owner.
create or replace function amends.point_view(p_name text, p_build int) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_view regclass := to_regclass(format('views.%I', p_name));
    v_options text[] := (select c.reloptions from pg_class as c where c.oid = v_view);
    v_columns text;
begin
    select string_agg(format('%I', c ->> 'name'), ', ' order by n) into v_columns
      from amends.builds as b cross join jsonb_array_elements(b.columns) with ordinality as x (c, n)
     where b.name = p_name and b.build = p_build;
    begin
        execute format('create or replace view views.%I as select %s from views.%I',
                       p_name, v_columns, amends.build_table(p_name, p_build));
        perform amends.set_options(v_view, v_options);  -- they were replaced too
    exception when invalid_table_definition then  -- other columns: another view
        if exists (select from pg_trigger as t where t.tgrelid = v_view)
           or exists (select from pg_rewrite as r where r.ev_class = v_view and r.rulename <> '_RETURN') then
            raise exception 'views.% has triggers or rules', p_name using errcode = 'dependent_objects_still_exist',
                detail = format('views.%I has triggers or rules, which one with other columns would not have.', p_name);
        end if;
        execute format('create view views.%I as select %s from views.%I',
                       '_' || p_name, v_columns, amends.build_table(p_name, p_build));
        perform amends.copy_surroundings(v_view, format('views.%I', '_' || p_name)::regclass);
        execute format('drop view views.%I', p_name);
        execute format('alter view views.%I rename to %I', '_' || p_name, p_name);
    end;
    if exists (select from pg_roles where rolname = 'amends_service') then
        execute format('grant select on views.%I to amends_service', p_name);
    end if;
end $$;

-- Makes the view of a read model once more, if somebody has dropped it, as with a column of the table.
create function amends.restore_view(p_name text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_build int;
begin
    perform pg_advisory_xact_lock(hashtextextended('amends.builds:' || p_name, 0));
    select build into v_build from amends.builds where name = p_name and state = 'live';
    if found and to_regclass(format('views.%I', p_name)) is null then
        perform amends.point_view(p_name, v_build);
    end if;
end $$;

-- Switches a read model to another build in one transaction: who reads sees the old one or the new one, never less than
-- before, and may do with it what he might before. outcome: promoted; live (it is already); unknown; behind (it has not got
-- as far as the live one); less (keys are set aside in it that the live one shows, and p_less does not allow that).
drop function amends.promote_build(text, int);
create function amends.promote_build(p_name text, p_build int, p_less boolean default false) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_old amends.builds;
    v_new amends.builds;
    v_from regclass;
    v_to regclass := to_regclass(format('views.%I', amends.build_table(p_name, p_build)));
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
    if not p_less and exists (select from amends.shown_less(p_name, p_build, v_old.build)) then
        return 'less';
    end if;
    update amends.builds set state = 'retired' where name = p_name and build = v_old.build;
    update amends.builds set state = 'live', promoted_at = clock_timestamp() where name = p_name and build = p_build;
    perform amends.point_view(p_name, p_build);
    if v_old.build is not null then
        v_from := to_regclass(format('views.%I', amends.build_table(p_name, v_old.build)));
    end if;
    if v_from is not null then
        perform amends.copy_surroundings(v_from, v_to);
        if exists (select from pg_roles where rolname = 'amends_service') then
            execute format('grant select, insert, update, delete on %s to amends_service', v_to);
        end if;
    end if;
    return 'promoted';
end $$;

-- Drops a build that is not live. outcome: dropped; live; unknown.
create or replace function amends.drop_build(p_name text, p_build int) returns text
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
    execute format('drop table if exists views.%I', amends.build_table(p_name, p_build));
    return 'dropped';
end $$;

-- Drops a read model whose code is gone: its view and all its tables. outcome: dropped; followed (somebody has its code);
-- unknown.
create function amends.drop_model(p_name text) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_build int;
begin
    perform set_config('lock_timeout', '250ms', true);
    perform pg_advisory_xact_lock(hashtextextended('amends.builds:' || p_name, 0));
    if not exists (select from amends.builds where name = p_name) then return 'unknown'; end if;
    if exists (select from amends.builds as b
                where b.name = p_name and b.runner is not null and b.lease_until > clock_timestamp()
                  and not exists (select from amends.executors as x
                                   where x.id = split_part(b.runner, '/', 1) and x.ended_at is not null)) then
        return 'followed';
    end if;
    if amends.is_view_of(to_regclass(format('views.%I', p_name)), p_name) then
        execute format('drop view views.%I', p_name);
    end if;
    for v_build in delete from amends.builds where name = p_name returning build loop
        execute format('drop table if exists views.%I', amends.build_table(p_name, v_build));
    end loop;
    delete from amends.skipped where name = p_name;
    return 'dropped';
end $$;
