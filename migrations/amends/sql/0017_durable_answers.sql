-- What a commit was answered is durable, and a run of the database has a name (migration 0019 makes places of it).

-- Makes an answer as durable as a first one, and returns true. Whoever answers from what is there, because the same was sent
-- before, may see a commit that no standby has yet (its wait was cancelled): so its transaction writes something as well,
-- and its commit waits as any other. It does so whatever the transaction has done before: one may have an id and have written
-- nothing, such as after an insert that did nothing, whose column asked for the id.
create function amends.durable() returns boolean language plpgsql as $$
begin
    perform pg_logical_emit_message(true, 'amends', '');
    return true;
end $$;

create table amends.runs (
    id                 bigint primary key,
    server             text not null,
    generation         int not null,
    first_transaction  xid8 not null,
    noted_at           timestamptz not null
);
comment on table amends.runs is
    'Runs of the database server, in their order: what a server writes after a start has the first transaction of a run or a '
    'later one. History goes back between two runs only: by a failover, a crash without synchronous_commit, a copy put back.';
comment on column amends.runs.id is 'Microseconds since 1970 at which it was noted.';
comment on column amends.runs.server is 'System identifier, timeline, start of the server, and its last crash.';

-- The run of the server that this session is part of. A crash that the server survives is known by its statistics, which are
-- dropped then.
create function amends.this_run() returns text language plpgsql stable as $$
begin
    return (select s.system_identifier || ' ' || left(pg_walfile_name(pg_current_wal_lsn()), 8) || ' '
                   || (extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint || ' '
                   || coalesce((extract(epoch from w.stats_reset) * 1000000)::bigint, 0)
              from pg_control_system() as s cross join pg_stat_wal as w);
end $$;

-- Begins a session that writes events; each does so before its first one. Notes the run of the server, if it is a new one:
-- all that is written in it has a higher transaction id than the note. Answers with the run, or with what keeps this session
-- from writing: a standby cannot be written to, and after a restore new events could come before old ones.
create function amends.enter(out run bigint, out problem text)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_server text;
    v_generation int;
begin
    if pg_is_in_recovery() then
        problem := 'the server is a standby, which cannot be written to';
        return;
    end if;
    v_server := amends.this_run();
    select r.id into run from amends.runs as r where r.server = v_server order by r.id desc limit 1;
    if found and run = (select max(r.id) from amends.runs as r) then return; end if;
    perform pg_advisory_xact_lock(hashtextextended('amends.runs', 0));
    select r.id into run from amends.runs as r where r.server = v_server order by r.id desc limit 1;
    if found and run = (select max(r.id) from amends.runs as r) then return; end if;
    select max(g.generation) into v_generation from amends.generations as g;
    if exists (select from (select e.transaction_id from amends.events as e where e.generation = v_generation
                             order by e.generation desc, e.transaction_id desc, e.position desc limit 1) as newest
                where newest.transaction_id >= pg_snapshot_xmax(pg_current_snapshot())) then
        run := null;
        problem := 'the newest event claims a transaction id that this server has not given out yet: it was restored from '
                   'another one, and new events would come before old ones in the feed until a new generation is opened';
        return;
    end if;
    insert into amends.runs (id, server, generation, first_transaction, noted_at)
    values (greatest((extract(epoch from clock_timestamp()) * 1000000)::bigint, amends.as_of() + 1), v_server,
            v_generation, pg_current_xact_id(), clock_timestamp())
    returning id into run;
end $$;

-- Whether an event still stands where a place says that it does; a place without an event is taken as it is.
create function amends.stands(p_position bigint, p_event uuid) returns boolean language plpgsql stable as $$
begin
    return p_event is null or exists (select from amends.events as e where e.position = p_position and e.id = p_event);
end $$;

-- One step of a saga: its events, its checkpoint in DBOS and its status, if this execution still owns the saga.
-- A saga that parks to wait gives what it waits for as {"for", "due", "provider", "since", "settled"}; `p_family` is a child
-- that it starts, as {"start": {…}}, or calls back, as {"recall": {"saga", "reason", "events"}}. The last commit of a child
-- tells its parent.
-- `p_after` are the newest events that this execution has read or written: it goes on only from what is still on record.
-- outcome: committed (also when an earlier try of the same entry was), stale, fenced, foreign, taken (the child's id),
-- missing (there is no such saga any more), gone (what it goes on from is not on record any more).
drop function amends.commit_step(text, text, jsonb, jsonb, jsonb, text, text, boolean, jsonb, jsonb);
create function amends.commit_step(
    p_saga text, p_owner text, p_events jsonb, p_expected jsonb, p_checkpoint jsonb,
    p_status text, p_reason text, p_park boolean, p_wait jsonb default null, p_family jsonb default null,
    p_after uuid[] default '{}'
) returns table (outcome text, stream text, expected int, actual int) language plpgsql as $$
#variable_conflict use_column
declare
    v_owner text;
    v_parent text;
begin
    if current_setting('client_min_messages') <> 'warning' then
        -- The warning that a wait for a standby was cancelled reaches the client, whatever a step's own SQL has set.
        perform set_config('client_min_messages', 'warning', true);
    end if;
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
    if v_owner is distinct from p_owner or v_owner is null then
        return query select case when exists (select from amends.sagas as s where s.id = p_saga) then 'fenced' else 'missing' end,
                            null::text, null::int, null::int;
        return;
    end if;
    if (select count(*) from amends.events as e where e.id = any (p_after)) < cardinality(p_after) then
        return query select 'gone', null::text, null::int, null::int;
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

-- Starts a saga, once per id; as before. The same start sent again is a start while its owner still has the saga: the
-- answer to the first try was lost.
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
            select case when s.request is distinct from p_request then 'taken'
                        when w.owner_xid = p_owner then 'started' else 'repeated' end, s.name, s.version
              from amends.sagas as s join dbos.workflow_status as w on w.workflow_uuid = s.id where s.id = p_id;
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

-- Queues sagas whose workflow has ended although their own story has not: the database has lost the commit that ended them,
-- and DBOS has written its outcome after that. The story is what counts. Returns how many.
create function amends.resume_lost() returns int language plpgsql as $$
declare
    v_lost text[];
    v_saga text;
begin
    select array_agg(s.id) into v_lost
      from dbos.workflow_status as w join amends.sagas as s on s.id = w.workflow_uuid
      left join dbos.workflow_output as o on o.workflow_uuid = w.workflow_uuid
     where s.finished_at is null and s.status in ('running', 'waiting', 'compensating', 'stuck', 'stranded')
       and w.application_name = 'amends'
       and (w.status = 'SUCCESS' or (w.status = 'ERROR' and o.error like '{"name": "TurnedBack"%'));
    foreach v_saga in array coalesce(v_lost, '{}') loop
        perform amends.lock_streams(array['saga-' || v_saga]);
        update dbos.workflow_status set status = 'PENDING', completed_at = null
         where workflow_uuid = v_saga and status in ('SUCCESS', 'ERROR')
           and exists (select from amends.sagas as s where s.id = v_saga and s.finished_at is null);
        if found then
            delete from dbos.workflow_output where workflow_uuid = v_saga;
            update amends.sagas set settled = false where id = v_saga;
            perform amends.queue_saga(v_saga);
        end if;
    end loop;
    return coalesce(cardinality(v_lost), 0);
end $$;
