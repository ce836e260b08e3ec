-- Read models: real tables in a schema of their own, each built from the first event on, with a view that points to the
-- one that is live. The service may write their rows, but tables are made and dropped only by functions, which
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
