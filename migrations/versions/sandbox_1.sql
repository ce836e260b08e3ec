-- The test-mode provider keeps its own books, as another company would.

create schema if not exists sandbox;

create table sandbox.calls (
    id               bigint generated always as identity primary key,
    at               timestamptz not null default clock_timestamp(),
    provider         text not null,
    operation        text not null,
    idempotency_key  text not null,
    reference        text not null,
    request          jsonb not null,
    status           int not null,
    outcome          text not null
);
comment on table sandbox.calls is 'Every call that arrived, what it wanted and what it was answered.';
create index calls_key on sandbox.calls (idempotency_key);
create index calls_reference on sandbox.calls (reference);

create table sandbox.effects (
    id               text primary key,
    provider         text not null check (provider in ('payments', 'stock', 'couriers', 'travel')),
    operation        text not null check (operation in ('charge', 'refund', 'hold', 'release', 'book', 'cancel')),
    idempotency_key  text not null unique,
    reference        text not null,
    amount           bigint,
    at               timestamptz not null default clock_timestamp()
);
comment on table sandbox.effects is 'What was really done, once per idempotency key.';
create index effects_reference on sandbox.effects (reference);

create table sandbox.undone (
    idempotency_key  text primary key,
    by_key           text not null,
    at               timestamptz not null default clock_timestamp()
);
comment on table sandbox.undone is 'Keys of actions that were undone, also of those that had not arrived yet: they are refused from then on.';

create table sandbox.pending (
    idempotency_key  text primary key,
    provider         text not null,
    operation        text not null,
    reference        text not null,
    amount           bigint,
    request          jsonb not null,
    due_at           timestamptz not null
);
comment on table sandbox.pending is 'Actions that were accepted and take effect later.';
create index pending_due on sandbox.pending (due_at);

create table sandbox.switches (
    name     text primary key,
    enabled  boolean not null
);
comment on table sandbox.switches is 'How the provider is told to behave.';
