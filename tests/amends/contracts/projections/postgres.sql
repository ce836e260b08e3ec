-- name: clock
-- A clock that stands still until it is told the time.
create schema fake;
create table fake.clock as select timestamptz '2026-01-01' as at;
create function fake.clock_timestamp() returns timestamptz language sql volatile as 'select at from fake.clock';
create function fake.now() returns timestamptz language sql volatile as 'select at from fake.clock';
grant usage on schema fake to public;
grant select on fake.clock to public

-- name: defaults
-- Defaults of columns have chosen their clock when they were made.
alter table amends.events alter recorded_at set default fake.clock_timestamp();
alter table amends.events disable trigger all;
alter table amends.builds alter started_at set default fake.clock_timestamp(),
                          alter touched_at set default fake.clock_timestamp();
alter table amends.set_aside alter since set default fake.clock_timestamp();
alter table amends.skipped alter at set default fake.clock_timestamp()

-- name: functions
-- So have functions that work with the rights of their owner.
alter function amends.open_build(text, int, text, jsonb, jsonb, text[], boolean, boolean) set search_path = fake, pg_catalog, pg_temp;
alter function amends.promote_build(text, int, boolean) set search_path = fake, pg_catalog, pg_temp;
alter function amends.drop_model(text) set search_path = fake, pg_catalog, pg_temp

-- name: as_told
-- Sessions from now on go by it.
do $$ begin execute format('alter database %I set search_path = fake, pg_catalog, public', current_database()); end $$

-- name: tell_time
update fake.clock set at = %s

-- name: empty
-- Everything is gone, events and tables too.
do $$
declare
    v_name text;
begin
    truncate amends.events, amends.builds, amends.set_aside, amends.set_aside_events, amends.skipped, amends.requests,
             amends.executors restart identity cascade;
    for v_name in select format('%I.%I', schemaname, tablename) from pg_tables where schemaname = 'views' loop
        execute 'drop table ' || v_name || ' cascade';
    end loop;
end $$

-- name: end_executor
insert into amends.executors (id, machine, pid, born, kinds, lease_until, ended_at)
values (%s, 'machine', 1, 1, '{}', fake.now(), fake.now()) on conflict do nothing

-- name: restart
insert into amends.runs (id, server, generation, first_transaction, noted_at)
select coalesce(max(id), 0) + 1, 'another', 1, pg_snapshot_xmax(pg_current_snapshot()), fake.now() from amends.runs

-- name: unsettled
select from amends.events where transaction_id >= pg_snapshot_xmin(pg_current_snapshot()) limit 1

-- name: set_aside
select s.name, s.build, s.key, s.error, s.since, s.wish as requested_action,
       array(select e.position from amends.set_aside_events as e
              where e.name = s.name and e.build = s.build and e.digest = s.digest) as positions
  from amends.set_aside as s
