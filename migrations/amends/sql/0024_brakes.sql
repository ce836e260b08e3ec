-- Brakes: what operators hold, so that nothing new of it begins, and the sagas that wait at them.

create table amends.brakes (
    id            text primary key,
    name          text,
    version       int,
    step          text,
    provider      text,
    starts        text not null check (starts in ('queue', 'refuse')),
    compensations boolean not null,
    reason        text not null,
    actor         text not null,
    set_at        timestamptz not null default clock_timestamp(),
    lifted_at     timestamptz,
    lifted_by     text,
    lifted_reason text,
    check (num_nonnulls(name, version, step, provider) > 0)
);
comment on table amends.brakes is 'What operators hold: nothing new of it begins until the brake is lifted.';
comment on column amends.brakes.starts is 'Whether sagas of the scope that are started are queued or refused.';
comment on column amends.brakes.compensations is 'Whether compensations are held too.';
create index brakes_in_force on amends.brakes (set_at) where lifted_at is null;

alter table amends.sagas add column brake text;
alter table amends.sagas add column brake_since timestamptz;
alter table amends.sagas add column start_brake text;
comment on column amends.sagas.brake is 'The brake at which it waits, as long as it does.';
comment on column amends.sagas.brake_since is 'Since when.';
comment on column amends.sagas.start_brake is 'The brake that held it when it was started.';
create index sagas_brake on amends.sagas (brake, brake_since, id) where brake is not null;
create index sagas_held on amends.sagas (cause, brake_since, id) where brake is not null;

alter table amends.causes drop constraint causes_kind_check;
alter table amends.causes add constraint causes_kind_check
    check (kind in ('stuck', 'stranded', 'abandoned', 'provider', 'brake', 'compensating'));
