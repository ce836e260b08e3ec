-- Appends outside sagas, answers kept with what they answer, snapshots, and feeds that survive a restore.

create table amends.generations (
    generation  int primary key,
    opened_at   timestamptz not null default clock_timestamp(),
    reason      text not null
);
comment on table amends.generations is 'A new one is opened when a backup was restored: transaction ids begin elsewhere then.';
insert into amends.generations (generation, reason) values (1, 'the beginning');

-- Opens a generation: every event from now on comes after all those before, whatever its transaction id.
create function amends.open_generation(p_reason text) returns int language plpgsql as $$
declare
    v_next int;
begin
    lock table amends.events in access exclusive mode;
    insert into amends.generations (generation, reason)
    select max(generation) + 1, p_reason from amends.generations returning generation into v_next;
    execute format('alter table amends.events alter column generation set default %s', v_next);
    return v_next;
end $$;

create table amends.snapshots (
    stream    text not null,
    code      text not null,
    version   int not null,
    state     jsonb not null,
    taken_at  timestamptz not null default clock_timestamp(),
    primary key (stream, code)
);
comment on table amends.snapshots is 'A cache: states of long streams, for one state of the code each. Delete it whenever you like.';
create index snapshots_taken_at on amends.snapshots (taken_at);

-- The first stream whose version is not what {"stream": version} expects; no row if all are.
create or replace function amends.stale_stream(p_expected jsonb)
returns table (stream text, expected int, actual int) language plpgsql as $$
#variable_conflict use_column
begin
    return query
    select e.key, e.value::int, v.version
      from jsonb_each_text(p_expected) as e
     cross join lateral (select coalesce(max(x.version), 0) as version
                           from amends.events as x where x.stream = e.key) as v
     where v.version <> e.value::int
     limit 1;
end $$;

-- Appends events to streams that the caller has locked; returns the position of the last one. One event alone, the most
-- frequent case, costs half of what the general statement costs.
create or replace function amends.insert_events(p_events jsonb) returns bigint language plpgsql as $$
#variable_conflict use_column
declare
    v_event jsonb := p_events -> 0;
    v_position bigint;
begin
    if jsonb_array_length(p_events) = 1 then
        insert into amends.events (id, stream, version, type, schema_version, data, metadata)
        select (v_event ->> 'id')::uuid, v_event ->> 'stream', coalesce(max(x.version), 0) + 1, v_event ->> 'type',
               (v_event ->> 'schema_version')::int, v_event -> 'data', v_event -> 'metadata'
          from amends.events as x where x.stream = v_event ->> 'stream'
        returning position into v_position;
        return v_position;
    end if;
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
    select max(position) into v_position from appended;
    return v_position;
end $$;

-- The place in the feed of an event, as an opaque token.
create function amends.place_token(p_position bigint) returns text language plpgsql as $$
begin
    return (select e.generation || '-' || e.transaction_id || '-' || e.position
              from amends.events as e where e.position = p_position);
end $$;

-- Keeps the answer {"key", "digest", "body"} to a request, with the place that it reached.
create function amends.keep_answer(p_answer jsonb, p_place text) returns void language plpgsql as $$
begin
    if p_answer is not null then
        insert into amends.requests (key, digest, answer)
        values (p_answer ->> 'key', p_answer ->> 'digest',
                (p_answer -> 'body') || jsonb_build_object('position', p_place));
    end if;
end $$;

-- One append to streams that the caller has locked, all of it or nothing. Its outcomes are those of amends.append.
create function amends.append_locked(
    p_events jsonb, p_expected jsonb, p_answer jsonb,
    out outcome text, out stream text, out expected int, out actual int, out place text, out digest text, out answer jsonb
) language plpgsql as $$
#variable_conflict use_column
declare
    v_ids uuid[];
    v_known int := 0;
    v_position bigint;
begin
    outcome := 'appended';
    if p_answer <> 'null' then
        select r.digest, r.answer into digest, answer from amends.requests as r where r.key = p_answer ->> 'key';
        if found then
            outcome := 'repeated';
            return;
        end if;
    end if;
    -- The same append again is known by its ends; one that is known in the middle only does not pass the unique index.
    if exists (select from amends.events as e
                where e.id in ((p_events -> 0 ->> 'id')::uuid, (p_events -> -1 ->> 'id')::uuid)) then
        v_ids := array(select (value ->> 'id')::uuid from jsonb_array_elements(p_events));
        select count(*), (array_agg(e.position order by e.generation desc, e.transaction_id desc, e.position desc))[1]
          into v_known, v_position from amends.events as e where e.id = any (v_ids);
        if v_known < cardinality(v_ids) then
            outcome := 'reused';
            return;
        end if;
    end if;
    if v_known = 0 then
        if p_expected <> '{}' then
            select s.stream, s.expected, s.actual into stream, expected, actual from amends.stale_stream(p_expected) as s;
            if found then
                outcome := 'stale';
                return;
            end if;
        end if;
        if p_events = '[]' then
            select e.position into v_position from amends.events as e
             where e.stream in (select jsonb_object_keys(p_expected))
             order by e.generation desc, e.transaction_id desc, e.position desc limit 1;
        else
            v_position := amends.insert_events(p_events);
        end if;
    end if;
    place := amends.place_token(v_position);
    perform amends.keep_answer(nullif(p_answer, 'null'), place);
end $$;

-- The most frequent append, one event to one stream, in as few statements as there can be; null if it is another one,
-- or if it cannot be done: amends.append_locked then says why.
create function amends.append_one(p_events jsonb, p_expected jsonb) returns text language plpgsql as $$
#variable_conflict use_column
declare
    v_event jsonb := p_events -> 0;
    v_stream text := v_event ->> 'stream';
    v_version int;
    v_generation int;
    v_position bigint;
begin
    if jsonb_array_length(p_events) <> 1 or p_expected - v_stream <> '{}' then return null; end if;
    select coalesce(max(e.version), 0) into v_version from amends.events as e where e.stream = v_stream;
    if (p_expected ->> v_stream)::int <> v_version then return null; end if;
    insert into amends.events (id, stream, version, type, schema_version, data, metadata)
    values ((v_event ->> 'id')::uuid, v_stream, v_version + 1, v_event ->> 'type',
            (v_event ->> 'schema_version')::int, v_event -> 'data', v_event -> 'metadata')
        on conflict (id) do nothing
    returning generation, position into v_generation, v_position;
    return v_generation || '-' || pg_current_xact_id() || '-' || v_position;
end $$;

-- Appends items [{"streams", "events", "expected", "answer"}], each to one or several streams and each all of it or
-- nothing, in one transaction. `streams` are the locks that it needs. An item alone waits for them; of several, those
-- whose locks are taken are `busy` and go again alone: nothing waits for another, and none makes another fail. All locks
-- come before the first write.
-- outcome: appended (also when the same events were before); repeated (the request was answered before, as in `answer`);
-- stale; reused (only some of the events are known); busy.
create function amends.append(p_items jsonb)
returns table (item int, outcome text, stream text, expected int, actual int, place text, digest text, answer jsonb)
language plpgsql as $$
#variable_conflict use_column
declare
    v_count int := jsonb_array_length(p_items);
    v_busy boolean[] := array_fill(false, array[v_count]);
    v_item jsonb;
    v_key bigint;
begin
    if v_count = 1 then
        perform amends.lock_streams(array(select jsonb_array_elements_text(p_items -> 0 -> 'streams')));
    else
        for n in 1 .. v_count loop
            for v_key in
                select hashtextextended('amends.stream:' || name, 0)
                  from jsonb_array_elements_text(p_items -> (n - 1) -> 'streams') as name
            loop
                v_busy[n] := v_busy[n] or not pg_try_advisory_xact_lock(v_key);
            end loop;
        end loop;
    end if;
    for n in 1 .. v_count loop
        item := n - 1;
        if v_busy[n] then
            outcome := 'busy';
        else
            v_item := p_items -> (n - 1);
            place := case when v_item -> 'answer' = 'null'
                          then amends.append_one(v_item -> 'events', v_item -> 'expected') end;
            outcome := 'appended';
            if place is null then
                select a.* into outcome, stream, expected, actual, place, digest, answer
                  from amends.append_locked(v_item -> 'events', v_item -> 'expected', v_item -> 'answer') as a;
            end if;
        end if;
        return next;
    end loop;
end $$;

-- Events about a saga belong to its story, whoever tells them.
create function amends.told_of_saga(p_events jsonb, p_saga text) returns jsonb language plpgsql as $$
begin
    return (select jsonb_agg(jsonb_set(e.value, '{metadata}', (e.value -> 'metadata')
                   || jsonb_build_object('correlation_id', s.correlation_id, 'workflow_id', s.id)) order by e.n)
              from amends.sagas as s cross join jsonb_array_elements(p_events) with ordinality as e (value, n)
             where s.id = p_saga);
end $$;

-- What is told of a saga that nobody runs: an event and its new status, unless it has one of p_unless by now.
create or replace function amends.note_saga(p_saga text, p_unless text[], p_events jsonb, p_status text, p_reason text)
returns boolean language plpgsql as $$
begin
    perform amends.lock_streams(array['saga-' || p_saga]);
    update amends.sagas set status = p_status, reason = p_reason, since = clock_timestamp()
     where id = p_saga and status <> all (p_unless);
    if not found then return false; end if;
    perform amends.insert_events(amends.told_of_saga(p_events, p_saga));
    return true;
end $$;
