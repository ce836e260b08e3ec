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

-- Puts a saga that rests back into the queue, one that was ended in DBOS's own tools included; the caller holds its row.
create function amends.queue_saga(p_saga text) returns void language plpgsql as $$
begin
    update dbos.workflow_status
       set status = 'ENQUEUED', executor_id = null, owner_xid = null, started_at_epoch_ms = null, queue_name = 'amends',
           completed_at = null, updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
     where workflow_uuid = p_saga and status <> 'SUCCESS';
end $$;

-- One step of a saga: its events, its checkpoint in DBOS and its status, if this execution still owns the saga.
-- A saga that parks to wait gives what it waits for as {"for", "due"}.
-- outcome: committed (also when an earlier try of the same entry was), stale, fenced, foreign.
drop function amends.commit_step(text, text, jsonb, jsonb, jsonb, text, text, boolean);
create function amends.commit_step(
    p_saga text, p_owner text, p_events jsonb, p_expected jsonb, p_checkpoint jsonb,
    p_status text, p_reason text, p_park boolean, p_wait jsonb default null
) returns table (outcome text, stream text, expected int, actual int) language plpgsql as $$
#variable_conflict use_column
declare
    v_owner text;
begin
    perform amends.lock_streams(
        array(select value ->> 'stream' from jsonb_array_elements(p_events))
        || array(select jsonb_object_keys(p_expected)));
    if exists (select from amends.events where id = (p_events -> 0 ->> 'id')::uuid) then
        return query select 'committed', null::text, null::int, null::int;
        return;
    end if;
    if p_expected <> '{}' then
        return query select 'stale', s.stream, s.expected, s.actual from amends.stale_stream(p_expected) as s;
        if found then return; end if;
    end if;
    -- The token comes out of the very node that locks the row: after a wait it is the new owner's.
    select w.owner_xid into v_owner from dbos.workflow_status as w
     where w.workflow_uuid = p_saga for no key update;
    if v_owner is distinct from p_owner then
        return query select 'fenced', null::text, null::int, null::int;
        return;
    end if;
    if p_checkpoint is not null then
        insert into dbos.operation_outputs (workflow_uuid, function_id, function_name, output, error,
            started_at_epoch_ms, completed_at_epoch_ms, serialization, retention_timestamp, application_name)
        select p_saga, (p_checkpoint ->> 'slot')::int, p_checkpoint ->> 'name', p_checkpoint ->> 'output',
            p_checkpoint ->> 'error', (p_checkpoint ->> 'started_ms')::bigint, (p_checkpoint ->> 'completed_ms')::bigint,
            'portable_json', (p_checkpoint ->> 'completed_ms')::bigint, 'amends'
        on conflict (workflow_uuid, function_id) do nothing;
        if not found then
            return query select 'foreign', null::text, null::int, null::int;
            return;
        end if;
    end if;
    perform amends.insert_events(p_events);
    if p_status is not null then
        update amends.sagas
           set status = p_status, reason = p_reason, since = clock_timestamp(),
               waiting_for = p_wait ->> 'for', due_at = (p_wait ->> 'due')::timestamptz,
               finished_at = case when p_status in ('completed', 'compensated') then clock_timestamp() end
         where id = p_saga;
    end if;
    if p_park then
        update dbos.workflow_status
           set executor_id = 'parked', owner_xid = null, updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
         where workflow_uuid = p_saga;
    end if;
    return query select 'committed', null::text, null::int, null::int;
end $$;

-- Queues sagas whose time has come, some at a time; called by whoever looks for sagas to run.
create function amends.wake_due(p_limit int) returns int language plpgsql as $$
declare
    v_due text[];
begin
    with due as materialized (
        select id from amends.sagas where due_at <= clock_timestamp() and status = 'waiting'
         order by due_at limit p_limit for no key update skip locked
    ), woken as (
        update amends.sagas as s set status = 'running', since = clock_timestamp(), waiting_for = null, due_at = null
          from due where s.id = due.id returning s.id
    )
    select coalesce(array_agg(id), '{}') into v_due from woken;
    perform amends.queue_saga(id) from unnest(v_due) as id;
    return cardinality(v_due);
end $$;

-- A signal to a saga: an event in its story, also when it comes before anybody waits for it, and the saga goes on if it
-- waits for just that.
-- outcome: told; repeated (the request was answered before); wrong (its status, then in the second column, is final).
create function amends.signal_saga(p_saga text, p_signal text, p_events jsonb, p_answer jsonb)
returns table (outcome text, status text, place text, digest text, answer jsonb) language plpgsql as $$
#variable_conflict use_column
declare
    v_status text;
    v_waiting_for text;
    v_place text;
begin
    perform amends.lock_streams(array['saga-' || p_saga, 'request ' || (p_answer ->> 'key')]);
    if p_answer is not null then
        return query select 'repeated', null::text, null::text, r.digest, r.answer
                       from amends.requests as r where r.key = p_answer ->> 'key';
        if found then return; end if;
    end if;
    if exists (select from amends.events where id = (p_events -> 0 ->> 'id')::uuid) then
        return query select 'told', null::text, amends.place_token(e.position), null::text, null::jsonb
                       from amends.events as e where e.id = (p_events -> 0 ->> 'id')::uuid;
        return;
    end if;
    select s.status, s.waiting_for into v_status, v_waiting_for
      from amends.sagas as s where s.id = p_saga for no key update;
    if v_status is null or v_status in ('completed', 'compensated') then
        return query select 'wrong', v_status, null::text, null::text, null::jsonb;
        return;
    end if;
    v_place := amends.place_token(amends.insert_events(amends.told_of_saga(p_events, p_saga)));
    if v_status = 'waiting' and v_waiting_for = p_signal then
        update amends.sagas set status = 'running', since = clock_timestamp(), waiting_for = null, due_at = null
         where id = p_saga;
        perform amends.queue_saga(p_saga);
    end if;
    perform amends.keep_answer(p_answer, v_place);
    return query select 'told', v_status, v_place, null::text, null::jsonb;
end $$;

-- Somebody wants a saga cancelled: an event in its story, and it looks at it between its steps; one that waits goes on.
-- outcome: told; repeated (the request was answered before); wrong (its status, then in the second column, is final);
-- past (one of p_pivots is recorded: there is no way back).
create function amends.cancel_saga(p_saga text, p_pivots text[], p_reason text, p_events jsonb, p_answer jsonb)
returns table (outcome text, status text, place text, digest text, answer jsonb) language plpgsql as $$
#variable_conflict use_column
declare
    v_status text;
    v_back boolean;
    v_place text;
begin
    perform amends.lock_streams(array['saga-' || p_saga, 'request ' || (p_answer ->> 'key')]);
    if p_answer is not null then
        return query select 'repeated', null::text, null::text, r.digest, r.answer
                       from amends.requests as r where r.key = p_answer ->> 'key';
        if found then return; end if;
    end if;
    if exists (select from amends.events where id = (p_events -> 0 ->> 'id')::uuid) then
        return query select 'told', null::text, amends.place_token(e.position), null::text, null::jsonb
                       from amends.events as e where e.id = (p_events -> 0 ->> 'id')::uuid;
        return;
    end if;
    select s.status into v_status from amends.sagas as s where s.id = p_saga for no key update;
    if v_status is null or v_status in ('completed', 'compensated') then
        return query select 'wrong', v_status, null::text, null::text, null::jsonb;
        return;
    end if;
    if exists (select from amends.events as e where e.stream = 'saga-' || p_saga
                  and e.type in ('step-completed', 'step-skipped') and e.data ->> 'step' = any (p_pivots)) then
        return query select 'past', v_status, null::text, null::text, null::jsonb;
        return;
    end if;
    v_place := amends.place_token(amends.insert_events(amends.told_of_saga(p_events, p_saga)));
    v_back := exists (select from amends.events as e
                       where e.stream = 'saga-' || p_saga and e.type = 'saga-compensating');
    update amends.sagas set cancel_reason = p_reason where id = p_saga;
    if not v_back and v_status in ('waiting', 'stuck') then
        update amends.sagas set status = 'running', reason = null, since = clock_timestamp(), waiting_for = null,
               due_at = null, takeovers = 0, not_before = null
         where id = p_saga;
        perform amends.queue_saga(p_saga);
    end if;
    perform amends.keep_answer(p_answer, v_place);
    return query select 'told', v_status, v_place, null::text, null::jsonb;
end $$;

-- A person's act on a saga that rests or was ended in DBOS's own tools: its event, its new status, back into the queue,
-- and the answer to the request. With a reason to cancel it, it turns back when it goes on.
-- outcome: acted; repeated (the request was answered before); stale (its stream has moved on); wrong (its status, then
-- in the second column, is another one).
drop function amends.act_on_saga(text, int, text[], jsonb, text);
create function amends.act_on_saga(
    p_saga text, p_version int, p_from text[], p_events jsonb, p_status text, p_answer jsonb default null,
    p_cancel text default null
) returns table (outcome text, status text, place text, digest text, answer jsonb) language plpgsql as $$
#variable_conflict use_column
declare
    v_status text;
    v_place text;
begin
    perform amends.lock_streams(array['saga-' || p_saga, 'request ' || (p_answer ->> 'key')]);
    if p_answer is not null then
        return query select 'repeated', null::text, null::text, r.digest, r.answer
                       from amends.requests as r where r.key = p_answer ->> 'key';
        if found then return; end if;
    end if;
    if exists (select from amends.events where id = (p_events -> 0 ->> 'id')::uuid) then
        return query select 'acted', null::text, amends.place_token(e.position), null::text, null::jsonb
                       from amends.events as e where e.id = (p_events -> 0 ->> 'id')::uuid;
        return;
    end if;
    if exists (select from amends.stale_stream(jsonb_build_object('saga-' || p_saga, p_version))) then
        return query select 'stale', null::text, null::text, null::text, null::jsonb;
        return;
    end if;
    select s.status into v_status from amends.sagas as s where s.id = p_saga for no key update;
    if v_status is null or v_status <> all (p_from) then
        return query select 'wrong', v_status, null::text, null::text, null::jsonb;
        return;
    end if;
    v_place := amends.place_token(amends.insert_events(amends.told_of_saga(p_events, p_saga)));
    update amends.sagas set status = p_status, reason = null, since = clock_timestamp(), takeovers = 0, not_before = null,
           cancel_reason = coalesce(p_cancel, cancel_reason)
     where id = p_saga;
    perform amends.queue_saga(p_saga);
    perform amends.keep_answer(p_answer, v_place);
    return query select 'acted', p_status, v_place, null::text, null::jsonb;
end $$;

-- Starts a saga, once per id; as before, and with a deadline in seconds from now, if it has one.
drop function amends.start_saga(text, text, int, text, text, text, text, jsonb, text, text);
create function amends.start_saga(
    p_id text, p_name text, p_version int, p_reference text, p_correlation text, p_request text,
    p_inputs text, p_events jsonb, p_executor text, p_owner text, p_deadline interval default null
) returns table (outcome text, name text, version int) language plpgsql as $$
#variable_conflict use_column
declare
    v_now bigint := (extract(epoch from clock_timestamp()) * 1000)::bigint;
begin
    perform amends.lock_streams(array['saga-' || p_id]);
    insert into dbos.workflow_status (workflow_uuid, status, name, executor_id, created_at, updated_at,
        started_at_epoch_ms, application_version, application_id, recovery_attempts, queue_name, priority,
        serialization, creator_xid, owner_xid, application_name)
    values (p_id, case when p_owner is null then 'ENQUEUED' else 'PENDING' end, p_name, p_executor, v_now, v_now,
        case when p_owner is null then null else v_now end, 'amends', '', case when p_owner is null then 0 else 1 end,
        'amends', 0, 'portable_json', coalesce(p_owner, gen_random_uuid()::text), p_owner, 'amends')
    on conflict (workflow_uuid) do nothing;
    if not found then
        return query
            select case when s.request = p_request then 'repeated' else 'taken' end, s.name, s.version
              from amends.sagas as s where s.id = p_id;
        if not found then
            return query select 'foreign', null::text, null::int;
        end if;
        return;
    end if;
    insert into dbos.workflow_input (workflow_uuid, inputs, retention_timestamp) values (p_id, p_inputs, v_now);
    insert into amends.sagas (id, name, version, root, reference, status, correlation_id, request, deadline_at)
    values (p_id, p_name, p_version, p_id, p_reference, case when p_owner is null then 'queued' else 'running' end,
        p_correlation, p_request, clock_timestamp() + p_deadline);
    perform amends.insert_events(p_events);
    return query select 'started', p_name, p_version;
end $$;

-- Queues sagas that belong to executors that were ended already: their start was committed after that, by a backend that
-- outlived its client. Returns how many.
create function amends.release_orphans() returns int language plpgsql as $$
declare
    v_ended text[];
begin
    select array_agg(distinct w.executor_id) into v_ended
      from dbos.workflow_status as w join amends.executors as x on x.id = w.executor_id
     where w.status = 'PENDING' and w.application_name = 'amends' and x.ended_at is not null;
    return case when v_ended is null then 0 else amends.release_sagas(v_ended, true) end;
end $$;

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
