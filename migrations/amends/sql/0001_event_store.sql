-- The event store, the sagas' rows for lists, the executors' leases, and the functions that write them.
-- Advisory locks take no transaction id: every function here takes its stream locks before its first write,
-- so that the transaction ids of one stream's events rise with their versions. The feed relies on it.

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
create function amends.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'events are immutable: % of amends.events is not allowed', tg_op
        using errcode = 'restrict_violation', hint = 'Append an event that says what changed.';
end $$;
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

-- Locks streams in one order everywhere, so that two appends never wait for each other.
create function amends.lock_streams(p_streams text[]) returns void language plpgsql as $$
begin
    perform pg_advisory_xact_lock(key)
       from (select distinct hashtextextended('amends.stream:' || stream, 0) as key
               from unnest(p_streams) as stream order by key) as keys;
end $$;

-- The first stream whose version is not what {"stream": version} expects; no row if all are.
create function amends.stale_stream(p_expected jsonb)
returns table (stream text, expected int, actual int) language sql as $$
    select e.key, e.value::int, v.version
      from jsonb_each_text(p_expected) as e
     cross join lateral (select coalesce(max(x.version), 0) as version
                           from amends.events as x where x.stream = e.key) as v
     where v.version <> e.value::int
     limit 1
$$;

-- Appends events to streams that the caller has locked; returns the position of the last one.
create function amends.insert_events(p_events jsonb) returns bigint language sql as $$
    with new as materialized (
        select e.* from rows from (jsonb_to_recordset(p_events)
            as (id uuid, stream text, type text, schema_version int, data jsonb, metadata jsonb))
            with ordinality as e (id, stream, type, schema_version, data, metadata, n)
    ), base as materialized (
        select s.stream, (select coalesce(max(x.version), 0) from amends.events as x where x.stream = s.stream) as version
          from (select distinct stream from new) as s
    ), numbered as (
        select new.*, base.version + row_number() over (partition by new.stream order by new.n) as version
          from new join base using (stream)
    ), appended as (
        insert into amends.events (id, stream, version, type, schema_version, data, metadata)
        select id, stream, version, type, schema_version, data, metadata from numbered order by stream, version
        returning position
    )
    select max(position) from appended
$$;

-- One step of a saga: its events, its checkpoint in DBOS and its status, if this execution still owns the saga.
-- outcome: committed (also when an earlier try of the same entry was), stale, fenced, foreign.
create function amends.commit_step(
    p_saga text, p_owner text, p_events jsonb, p_expected jsonb, p_checkpoint jsonb,
    p_status text, p_reason text, p_park boolean
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

-- Starts a saga, once per id. With an owner it is this executor's from the start, else it is queued.
-- outcome: started; repeated (the same request came before); taken (another request has this id);
-- foreign (a workflow that is no saga of ours has this id).
create function amends.start_saga(
    p_id text, p_name text, p_version int, p_reference text, p_correlation text, p_request text,
    p_inputs text, p_events jsonb, p_executor text, p_owner text
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
    insert into amends.sagas (id, name, version, root, reference, status, correlation_id, request)
    values (p_id, p_name, p_version, p_id, p_reference, case when p_owner is null then 'queued' else 'running' end,
        p_correlation, p_request);
    perform amends.insert_events(p_events);
    return query select 'started', p_name, p_version;
end $$;

-- Gives back to the queue what these executors were running, and counts who died without progress.
create function amends.release_sagas(p_executors text[], p_died boolean) returns int language plpgsql as $$
declare
    v_released text[];
begin
    with released as (
        update dbos.workflow_status
           set status = 'ENQUEUED', executor_id = null, owner_xid = null, started_at_epoch_ms = null, queue_name = 'amends',
               updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
         where status = 'PENDING' and application_name = 'amends' and executor_id = any (p_executors)
        returning workflow_uuid
    )
    select coalesce(array_agg(workflow_uuid), '{}') into v_released from released;
    if p_died then
        update amends.sagas as s
           set takeovers = case when s.progress = v.version then s.takeovers + 1 else 1 end, progress = v.version,
               not_before = case when s.progress = v.version and s.takeovers >= 5
                                 then clock_timestamp() + least(2 ^ (s.takeovers - 5), 60) * interval '1 second' end
          from (select r.id, (select coalesce(max(e.version), 0)
                                from amends.events as e where e.stream = 'saga-' || r.id) as version
                  from unnest(v_released) as r (id)) as v
         where s.id = v.id;
    end if;
    return cardinality(v_released);
end $$;

-- Ends executors, each once, and releases what they ran. An executor that finds itself ended must exit.
create function amends.end_executors(p_executors text[], p_by text, p_died boolean) returns int language plpgsql as $$
declare
    v_ended text[];
begin
    with ended as (
        update amends.executors set ended_at = clock_timestamp(), ended_by = p_by
         where id = any (p_executors) and ended_at is null returning id
    )
    select coalesce(array_agg(id), '{}') into v_ended from ended;
    return amends.release_sagas(v_ended, p_died);
end $$;

-- Claims queued sagas that this executor has code for, oldest first, if it is alive itself.
create function amends.claim_sagas(p_executor text, p_owner text, p_kinds text[], p_limit int)
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
        update amends.sagas as s set status = 'running', since = clock_timestamp()
          from claimed as c where s.id = c.workflow_uuid and s.status = 'queued'
    )
    select c.workflow_uuid, c.name, i.inputs, s.takeovers
      from claimed as c
      join dbos.workflow_input as i on i.workflow_uuid = c.workflow_uuid
      join amends.sagas as s on s.id = c.workflow_uuid;
end $$;

-- A person's act on a saga that rests: its event, its new status, and back into the queue.
-- outcome: acted; stale (its stream has moved on); wrong (its status, then in the second column, is another one).
create function amends.act_on_saga(p_saga text, p_version int, p_from text[], p_events jsonb, p_status text)
returns table (outcome text, status text) language plpgsql as $$
#variable_conflict use_column
declare
    v_status text;
begin
    perform amends.lock_streams(array['saga-' || p_saga]);
    if exists (select from amends.stale_stream(jsonb_build_object('saga-' || p_saga, p_version))) then
        return query select 'stale', null::text;
        return;
    end if;
    select s.status into v_status from amends.sagas as s where s.id = p_saga for no key update;
    if v_status is null or v_status <> all (p_from) then
        return query select 'wrong', v_status;
        return;
    end if;
    perform amends.insert_events(p_events);
    update amends.sagas set status = p_status, reason = null, since = clock_timestamp(), takeovers = 0, not_before = null where id = p_saga;
    update dbos.workflow_status
       set status = 'ENQUEUED', executor_id = null, owner_xid = null, started_at_epoch_ms = null, queue_name = 'amends',
           updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
     where workflow_uuid = p_saga and status in ('PENDING', 'ENQUEUED');
    return query select 'acted', p_status;
end $$;

-- What is told of a saga that nobody runs: an event and its new status, unless it has one of p_unless by now.
create function amends.note_saga(p_saga text, p_unless text[], p_events jsonb, p_status text, p_reason text)
returns boolean language plpgsql as $$
begin
    perform amends.lock_streams(array['saga-' || p_saga]);
    update amends.sagas set status = p_status, reason = p_reason, since = clock_timestamp()
     where id = p_saga and status <> all (p_unless);
    if not found then return false; end if;
    perform amends.insert_events(p_events);
    return true;
end $$;

-- Whether an event is there, after waiting for whoever is writing to its streams.
create function amends.landed(p_streams text[], p_event uuid) returns boolean language plpgsql as $$
begin
    perform amends.lock_streams(p_streams);
    return exists (select from amends.events where id = p_event);
end $$;
