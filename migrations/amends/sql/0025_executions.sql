-- Which executors ran a saga, from when to when, and why each left it: kept in the saga's row, which a claim writes anyway.
-- And indexes of what is queued and of what waits, so that metrics count it.

create type amends.execution as (number int, executor text, began_at timestamptz, ended_at timestamptz, ended_by text);
comment on type amends.execution is 'An executor ran a saga: the how manieth time that was, from when to when, and why it left it.';

alter table amends.sagas add column executions amends.execution[] not null default '{}';
comment on column amends.sagas.executions is
    'Its newest 20 executions, the oldest first. One that was handed over has no end in here until the next one begins.';

-- Starts that no server has begun, oldest first, with what they are counted by; and what sagas wait for.
create index sagas_queued on amends.sagas (started_at) include (name, version, actor) where status = 'queued';
create index sagas_waiting on amends.sagas (waiting_for collate "C")
 where waiting_for is not null and status in ('waiting', 'compensating');
