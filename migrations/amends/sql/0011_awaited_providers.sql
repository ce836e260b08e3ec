-- Sagas that wait for a provider that is down: rows that nobody runs, as for a signal, but their status stays what it was.

alter table amends.sagas add column provider text;
alter table amends.sagas add column provider_since timestamptz;
comment on column amends.sagas.provider is 'The provider that it waits for, or asks whether it is back.';
comment on column amends.sagas.provider_since is 'Since when it waits for that.';
alter table amends.sagas add column settled boolean not null default false;
alter table amends.sagas add column was_settled boolean not null default false;
comment on column amends.sagas.settled is
    'Nobody runs it, and whoever did last has left nothing behind that is not on record: no step is in doubt because of that.';
comment on column amends.sagas.was_settled is 'Whether that was so when it was claimed last.';
create index sagas_provider on amends.sagas (provider, since) include (provider_since)
    where provider is not null and status in ('running', 'compensating');
alter table amends.outages alter column waiting set default 0;

-- Whether a saga waits for a provider, and nobody runs it.
create function amends.awaits_provider(p_saga text) returns boolean language sql stable as $$
    select exists (select from amends.sagas as s join dbos.workflow_status as w on w.workflow_uuid = s.id
                    where s.id = p_saga and s.provider is not null and s.status in ('running', 'compensating')
                      and w.status = 'PENDING' and w.executor_id = 'parked')
$$;

-- Takes some of the sagas that wait for a provider, those first that were let go on longest ago, if this executor lives.
create function amends.claim_awaiting(p_executor text, p_owner text, p_provider text, p_kinds text[], p_limit int, p_patience double precision)
returns table (id text, name text, inputs text) language plpgsql as $$
#variable_conflict use_column
declare
    v_saga text;
    v_taken text[] := '{}';
begin
    perform from amends.executors where id = p_executor and ended_at is null and lease_until > clock_timestamp() for share;
    if not found then return; end if;
    -- One after the other, in the order of the index: a join would be planned for all that rest.
    for v_saga in
        select s.id from amends.sagas as s
         where s.provider = p_provider and s.status in ('running', 'compensating')
           and s.name || ':' || s.version = any (p_kinds)
           and s.since <= clock_timestamp() - make_interval(secs => p_patience)
         order by s.since
    loop
        perform from dbos.workflow_status as w
          where w.workflow_uuid = v_saga and w.status = 'PENDING' and w.executor_id = 'parked'
            for no key update skip locked;
        if found then v_taken := v_taken || v_saga; end if;
        exit when cardinality(v_taken) >= p_limit;
    end loop;
    return query
    with claimed as (
        update dbos.workflow_status as w
           set executor_id = p_executor, owner_xid = p_owner, recovery_attempts = coalesce(w.recovery_attempts, 0) + 1,
               started_at_epoch_ms = (extract(epoch from clock_timestamp()) * 1000)::bigint,
               updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
         where w.workflow_uuid = any (v_taken)
        returning w.workflow_uuid, w.name
    ), taken as (
        update amends.sagas set was_settled = settled, settled = false where id = any (v_taken)
    )
    select c.workflow_uuid, c.name, i.inputs
      from claimed as c join dbos.workflow_input as i on i.workflow_uuid = c.workflow_uuid;
end $$;

-- Queues sagas whose time has come, some at a time; called by whoever looks for sagas to run.
create or replace function amends.wake_due(p_limit int) returns int language plpgsql as $$
declare
    v_due text[];
begin
    with due as materialized (
        select s.id from amends.sagas as s
         where s.due_at <= clock_timestamp()
           and (s.status = 'waiting' or (s.provider is not null and amends.awaits_provider(s.id)))
         order by s.due_at limit p_limit for no key update skip locked
    ), woken as (
        update amends.sagas as s
           set status = case when s.status = 'waiting' then 'running' else s.status end, since = clock_timestamp(),
               waiting_for = null, due_at = null
          from due where s.id = due.id returning s.id
    )
    select coalesce(array_agg(id), '{}') into v_due from woken;
    perform amends.queue_saga(id) from unnest(v_due) as id;
    return cardinality(v_due);
end $$;

-- Somebody wants a saga cancelled: an event in its story, and it looks at it between its steps; one that waits goes on.
-- outcome: told; repeated (the request was answered before); wrong (its status, then in the second column, is final);
-- past (one of p_pivots is recorded: there is no way back).
create or replace function amends.cancel_saga(p_saga text, p_pivots text[], p_reason text, p_events jsonb, p_answer jsonb)
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
    if not v_back and (v_status in ('waiting', 'stuck') or amends.awaits_provider(p_saga)) then
        update amends.sagas set status = 'running', reason = null, since = clock_timestamp(), waiting_for = null,
               due_at = null, takeovers = 0, not_before = null
         where id = p_saga;
        perform amends.queue_saga(p_saga);
    end if;
    perform amends.keep_answer(p_answer, v_place);
    return query select 'told', v_status, v_place, null::text, null::jsonb;
end $$;

-- Calls a saga back for its parent: whatever it is doing, it is to be undone. One that was completed goes on for that; one
-- that is undone already tells so again. The caller holds the locks of both streams.
create or replace function amends.recall_saga(p_saga text, p_parent text, p_reason text, p_events jsonb) returns void
language plpgsql as $$
declare
    v_status text;
begin
    select s.status into v_status from amends.sagas as s where s.id = p_saga for no key update;
    update amends.sagas set parent = p_parent where id = p_saga and parent is distinct from p_parent;
    if v_status = 'compensated' then
        perform amends.tell_parent(p_saga);
        return;
    end if;
    perform amends.insert_events(amends.told_of_saga(p_events, p_saga));
    update amends.sagas set cancel_reason = p_reason where id = p_saga;
    if not (v_status in ('completed', 'waiting', 'stuck') or amends.awaits_provider(p_saga)) or exists (
        select from amends.events as e where e.stream = 'saga-' || p_saga and e.type = 'saga-compensating') then
        return;
    end if;
    update amends.sagas set status = 'running', reason = null, since = clock_timestamp(), finished_at = null,
           waiting_for = null, due_at = null, takeovers = 0, not_before = null
     where id = p_saga;
    delete from dbos.workflow_output where workflow_uuid = p_saga;
    update dbos.workflow_status set status = 'PENDING' where workflow_uuid = p_saga and status = 'SUCCESS';
    perform amends.queue_saga(p_saga);
end $$;

-- One step of a saga: its events, its checkpoint in DBOS and its status, if this execution still owns the saga.
-- A saga that parks to wait gives what it waits for as {"for", "due", "provider", "since", "settled"}; `p_family` is a child
-- that it starts, as {"start": {…}}, or calls back, as {"recall": {"saga", "reason", "events"}}. The last commit of a child
-- tells its parent.
-- outcome: committed (also when an earlier try of the same entry was), stale, fenced, foreign, taken (the child's id).
create or replace function amends.commit_step(
    p_saga text, p_owner text, p_events jsonb, p_expected jsonb, p_checkpoint jsonb,
    p_status text, p_reason text, p_park boolean, p_wait jsonb default null, p_family jsonb default null
) returns table (outcome text, stream text, expected int, actual int) language plpgsql as $$
#variable_conflict use_column
declare
    v_owner text;
    v_parent text;
begin
    if p_status in ('completed', 'compensated') then
        select s.parent into v_parent from amends.sagas as s where s.id = p_saga;
    end if;
    perform amends.lock_streams(
        array(select value ->> 'stream' from jsonb_array_elements(p_events))
        || array(select jsonb_object_keys(p_expected))
        || array_remove(array['saga-' || v_parent, 'saga-' || (p_family -> 'start' ->> 'id'),
                              'saga-' || (p_family -> 'recall' ->> 'saga')], null));
    if exists (select from amends.events where id = (p_events -> 0 ->> 'id')::uuid) then
        return query select 'committed', null::text, null::int, null::int;
        return;
    end if;
    if p_expected <> '{}' then
        return query select 'stale', s.stream, s.expected, s.actual from amends.stale_stream(p_expected) as s;
        if found then return; end if;
    end if;
    if p_family ? 'start' and exists (
        select from dbos.workflow_status as w left join amends.sagas as s on s.id = w.workflow_uuid
         where w.workflow_uuid = p_family -> 'start' ->> 'id'
           and s.request is distinct from p_family -> 'start' ->> 'request') then
        return query select 'taken', null::text, null::int, null::int;
        return;
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
           set status = p_status, reason = case when status = p_status then coalesce(p_reason, reason) else p_reason end,
               since = clock_timestamp(), waiting_for = p_wait ->> 'for', due_at = (p_wait ->> 'due')::timestamptz,
               provider = p_wait ->> 'provider', provider_since = (p_wait ->> 'since')::timestamptz,
               finished_at = case when p_status in ('completed', 'compensated') then clock_timestamp() end
         where id = p_saga;
    end if;
    if p_park then
        update dbos.workflow_status
           set executor_id = 'parked', owner_xid = null, updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
         where workflow_uuid = p_saga;
        if (p_wait ->> 'settled')::boolean then
            update amends.sagas set settled = true where id = p_saga;
        end if;
    end if;
    if p_family ? 'start' then
        perform amends.start_child(p_saga, p_family -> 'start');
    elsif p_family ? 'recall' then
        perform amends.recall_saga(p_family -> 'recall' ->> 'saga', p_saga, p_family -> 'recall' ->> 'reason',
                                   p_family -> 'recall' -> 'events');
    elsif v_parent is not null then
        -- A fork may have become its parent since the locks were chosen: then they are chosen again.
        if v_parent is distinct from (select s.parent from amends.sagas as s where s.id = p_saga) then
            raise exception 'another saga has become the parent of %', p_saga using errcode = 'serialization_failure';
        end if;
        perform amends.tell_parent(p_saga);
    end if;
    return query select 'committed', null::text, null::int, null::int;
end $$;

-- Claims queued sagas that this executor has code for, oldest first, if it is alive itself.
create or replace function amends.claim_sagas(p_executor text, p_owner text, p_kinds text[], p_limit int)
returns table (id text, name text, inputs text, takeovers int) language plpgsql as $$
#variable_conflict use_column
begin
    perform from amends.executors where id = p_executor and ended_at is null and lease_until > clock_timestamp() for share;
    if not found then return; end if;
    return query
    with candidate as materialized (
        select w.workflow_uuid from dbos.workflow_status as w join amends.sagas as s on s.id = w.workflow_uuid
         where w.queue_name = 'amends' and w.status = 'ENQUEUED' and s.name || ':' || s.version = any (p_kinds)
           and (s.not_before is null or s.not_before < clock_timestamp())
         order by w.priority, w.created_at limit p_limit for no key update of w skip locked
    ), claimed as (
        update dbos.workflow_status as w
           set status = 'PENDING', executor_id = p_executor, owner_xid = p_owner,
               recovery_attempts = coalesce(w.recovery_attempts, 0) + 1,
               started_at_epoch_ms = (extract(epoch from clock_timestamp()) * 1000)::bigint,
               updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
          from candidate as c where w.workflow_uuid = c.workflow_uuid
        returning w.workflow_uuid, w.name
    ), running as (
        update amends.sagas as s
           set status = case when s.status = 'queued' then 'running' else s.status end,
               since = case when s.status = 'queued' then clock_timestamp() else s.since end,
               was_settled = s.settled, settled = false
          from claimed as c where s.id = c.workflow_uuid
    )
    select c.workflow_uuid, c.name, i.inputs, s.takeovers
      from claimed as c
      join dbos.workflow_input as i on i.workflow_uuid = c.workflow_uuid
      join amends.sagas as s on s.id = c.workflow_uuid;
end $$;

-- Starts a saga, once per id; as before.
create or replace function amends.start_saga(
    p_id text, p_name text, p_version int, p_reference text, p_correlation text, p_request text,
    p_inputs text, p_events jsonb, p_executor text, p_owner text, p_deadline interval default null,
    p_parent text default null
) returns table (outcome text, name text, version int) language plpgsql as $$
#variable_conflict use_column
declare
    v_now bigint := (extract(epoch from clock_timestamp()) * 1000)::bigint;
begin
    perform amends.lock_streams(array['saga-' || p_id]);
    insert into dbos.workflow_status (workflow_uuid, status, name, executor_id, created_at, updated_at,
        started_at_epoch_ms, application_version, application_id, recovery_attempts, queue_name, priority,
        serialization, creator_xid, owner_xid, application_name, parent_workflow_id)
    values (p_id, case when p_owner is null then 'ENQUEUED' else 'PENDING' end, p_name, p_executor, v_now, v_now,
        case when p_owner is null then null else v_now end, 'amends', '', case when p_owner is null then 0 else 1 end,
        'amends', 0, 'portable_json', coalesce(p_owner, gen_random_uuid()::text), p_owner, 'amends', p_parent)
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
    insert into amends.sagas (id, name, version, root, reference, status, correlation_id, request, deadline_at, parent,
        settled)
    values (p_id, p_name, p_version, p_id, p_reference, case when p_owner is null then 'queued' else 'running' end,
        p_correlation, p_request, clock_timestamp() + p_deadline, p_parent, p_owner is null);
    perform amends.insert_events(p_events);
    return query select 'started', p_name, p_version;
end $$;
