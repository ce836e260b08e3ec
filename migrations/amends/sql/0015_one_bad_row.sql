-- A row that its table does not take sets its own key aside, however long that is; what a person skipped stays skipped in
-- a rebuild; a promotion neither shows less nor changes who may read.

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

drop function if exists amends.promote_build(text, int);
