-- The event store, the sagas' rows for lists, and the executors' leases.

create schema if not exists amends;

create table amends.events (
    position        bigint generated always as identity primary key,
    id              uuid not null unique,
    stream          text not null,
    version         int not null check (version > 0),
    type            text not null,
    schema_version  int not null,
    data            jsonb not null,
    metadata        jsonb not null,
    recorded_at     timestamptz not null default clock_timestamp(),
    transaction_id  xid8 not null default pg_current_xact_id(),
    generation      int not null default 1,
    unique (stream, version)
);
comment on table amends.events is 'Every fact, once and for good. The feed is ordered by (generation, transaction_id, position).';
comment on column amends.events.generation is 'Rises when a backup is restored into another cluster, whose transaction ids begin elsewhere.';

create index events_feed on amends.events (generation, transaction_id, position);
create index events_type on amends.events (type, generation, transaction_id, position);
create index events_correlation on amends.events ((metadata ->> 'correlation_id'), generation, transaction_id, position);

-- Events are immutable, for every role and in every session.
create trigger events_immutable before update or delete on amends.events
    for each row execute function amends.refuse_change();
create trigger events_not_truncated before truncate on amends.events
    for each statement execute function amends.refuse_change();
alter table amends.events enable always trigger events_immutable;
alter table amends.events enable always trigger events_not_truncated;

create table amends.sagas (
    id              text primary key,
    name            text not null,
    version         int not null,
    root            text not null,
    reference       text not null,
    status          text not null check (status in ('queued', 'running', 'waiting', 'compensating', 'completed',
                                                    'compensated', 'stuck', 'stranded', 'abandoned')),
    reason          text,
    correlation_id  text not null,
    request         text not null,
    started_at      timestamptz not null default clock_timestamp(),
    since           timestamptz not null default clock_timestamp(),
    finished_at     timestamptz,
    takeovers       int not null default 0,
    progress        int not null default 0,
    not_before      timestamptz
);
comment on table amends.sagas is 'One row per saga, for lists; its story is in the stream saga-<id>.';
comment on column amends.sagas.request is 'A digest of what it was started with, to tell a repeated request from another one.';
comment on column amends.sagas.since is 'Since when it has this status.';
comment on column amends.sagas.takeovers is 'How many executors died in a row while it made no progress.';
comment on column amends.sagas.not_before is 'After many such deaths it is run again only then: it may be what they died of.';
comment on column amends.sagas.progress is 'The version of its stream at the last takeover.';
create index sagas_newest on amends.sagas (started_at desc, id desc);
create index sagas_status on amends.sagas (status, started_at desc, id desc);
create index sagas_reference on amends.sagas (reference) where reference <> '';
create index sagas_correlation on amends.sagas (correlation_id);
create index sagas_root on amends.sagas (root);

create table amends.executors (
    id          text primary key,
    machine     text not null,
    pid         int not null,
    born        double precision not null,
    kinds       text[] not null,
    started_at  timestamptz not null default clock_timestamp(),
    renewed_at  timestamptz not null default clock_timestamp(),
    lease_until timestamptz not null,
    ended_at    timestamptz,
    ended_by    text
);
comment on table amends.executors is 'Every process that runs sagas, and until when it may.';
comment on column amends.executors.kinds is 'The sagas that it has code for, as name:version.';
create index executors_alive on amends.executors (id) where ended_at is null;

create table amends.requests (
    key          text primary key,
    digest       text not null,
    answer       jsonb not null,
    answered_at  timestamptz not null default clock_timestamp()
);
comment on table amends.requests is 'What was answered to a request with an Idempotency-Key, so that it acts once.';
