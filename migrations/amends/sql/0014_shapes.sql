-- What everything that is stored looks like, and what of it is personal or secret: noted at its start by every server for
-- what its code declares, and never taken back. So an older server masks what a newer one wrote.
create table amends.shapes (
    kind        text not null,
    name        text not null,
    version     text not null,
    digest      text not null,
    shape       jsonb not null,
    before      text[] not null default '{}',
    recorded_at timestamptz not null default clock_timestamp(),
    primary key (kind, name, version, digest)
);
comment on table amends.shapes is 'JSON Schemas, with marks as x-sensitive, of events, inputs, results, refusals, …';
comment on column amends.shapes.before is 'Names under which an event was stored before it was renamed.';
