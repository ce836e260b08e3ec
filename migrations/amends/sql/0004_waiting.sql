-- Sagas that wait for a signal or for a time: rows that nobody runs, found again by an index. And sagas that are to be
-- cancelled, or have a deadline.

alter table amends.sagas add column waiting_for text;
alter table amends.sagas add column due_at timestamptz;
comment on column amends.sagas.waiting_for is 'The signal that it waits for, or timer.';
comment on column amends.sagas.due_at is 'When it goes on by itself.';
alter table amends.sagas add column deadline_at timestamptz;
alter table amends.sagas add column cancel_reason text;
comment on column amends.sagas.deadline_at is 'When it is to be finished, or past its pivot.';
comment on column amends.sagas.cancel_reason is 'Somebody wants it cancelled: it looks at this between its steps.';
create index sagas_cancelled on amends.sagas (id) where cancel_reason is not null and finished_at is null;
create index sagas_due on amends.sagas (due_at) where due_at is not null;

drop function if exists amends.commit_step(text, text, jsonb, jsonb, jsonb, text, text, boolean);

drop function if exists amends.act_on_saga(text, int, text[], jsonb, text);

drop function if exists amends.start_saga(text, text, int, text, text, text, text, jsonb, text, text);

create table amends.outages (
    provider     text not null,
    executor     text not null,
    down_since   timestamptz not null,
    error        text not null,
    waiting      int not null,
    reported_at  timestamptz not null default clock_timestamp(),
    primary key (provider, executor)
);
comment on table amends.outages is 'Providers that do not answer, as each executor sees it; one row is gone when that one got an answer.';
