-- Acts on many sagas: what was asked for, the set that it was fixed to, and how far it has got.

create table amends.bulk_acts (
    id           text primary key,
    act          text not null check (act in ('cancel', 'retry', 'skip', 'resolve', 'signal')),
    filter       jsonb not null,
    asked        jsonb not null,
    actor        text not null,
    status       text not null check (status in ('running', 'paused', 'cancelled', 'completed')),
    total        int not null,
    done         int not null default 0,
    failed       int not null default 0,
    moved_on     int not null default 0,
    runner       text,
    lease_until  timestamptz,
    notes        jsonb not null default '[]',
    started_at   timestamptz not null default clock_timestamp(),
    moved_at     timestamptz not null default clock_timestamp(),
    finished_at  timestamptz
);
comment on table amends.bulk_acts is 'Acts on many sagas, each with the set that it was fixed to when it began.';
comment on column amends.bulk_acts.asked is 'What is done to each: the reason, a result, a signal and its payload.';
comment on column amends.bulk_acts.runner is 'The executor that works it off, until when its lease holds.';
comment on column amends.bulk_acts.notes is 'Who began, paused, resumed and cancelled it, and why.';
comment on column amends.bulk_acts.moved_at is 'When a batch of it was done last: that which waits longest is next.';
create index bulk_acts_started on amends.bulk_acts (started_at desc, id desc);
create index bulk_acts_running on amends.bulk_acts (moved_at, id) where status = 'running';

create table amends.bulk_items (
    bulk     text not null references amends.bulk_acts on delete cascade,
    number   int not null,
    saga     text not null,
    since    timestamptz not null,
    outcome  text check (outcome in ('done', 'failed', 'moved-on')),
    error    text,
    primary key (bulk, number)
);
comment on table amends.bulk_items is 'The sagas of a bulk act, in the order in which they are acted on.';
comment on column amends.bulk_items.since is 'Since when the saga stood as it did when the set was fixed.';
comment on column amends.bulk_items.error is 'Why it failed, without what differs from saga to saga.';
create index bulk_items_left on amends.bulk_items (bulk, number) where outcome is null;
create index bulk_items_failed on amends.bulk_items (bulk, error, number) where outcome = 'failed';
