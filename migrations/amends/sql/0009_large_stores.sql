-- What is asked of one saga, one stream or one place is answered as quickly in a large store as in a small one.

create index sagas_name on amends.sagas (name, started_at desc, id desc);

-- Where sagas turned back or got stuck: the few events that say how one stands, found without reading its story.
create index events_turns on amends.events (stream, version) where type in ('saga-compensating', 'saga-stuck');

-- Who runs what: everything that waits is pending too, and belongs to nobody.
create index amends_running on dbos.workflow_status (executor_id) where status = 'PENDING';

-- The version of the last event of a stream that does not come after a place in the feed, 0 if there is none. Versions
-- rise with places, so it is found by halving.
create function amends.version_at(p_stream text, p_generation int, p_transaction xid8, p_position bigint) returns int
language plpgsql stable as $$
declare
    v_low int := 0;
    v_high int;
    v_middle int;
    v_before boolean;
begin
    select max(version) into v_high from amends.events where stream = p_stream;
    while v_low < coalesce(v_high, 0) loop
        v_middle := (v_low + v_high + 1) / 2;
        select (e.generation, e.transaction_id, e.position) <= (p_generation, p_transaction, p_position) into v_before
          from amends.events as e where e.stream = p_stream and e.version = v_middle;
        if coalesce(v_before, true) then
            v_low := v_middle;
        else
            v_high := v_middle - 1;
        end if;
    end loop;
    return v_low;
end $$;

-- A person's act on a saga that rests, as before; but `p_version` is that of the event that told how it got stuck, null
-- for one that is not stuck: what else the saga was told since then does not matter.
-- outcome: acted; repeated (the request was answered before); stale (it got stuck anew); wrong (its status, then in the
-- second column, is another one).
create or replace function amends.act_on_saga(
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
    if p_version is distinct from (
        select e.version from amends.events as e
         where p_version is not null and e.stream = 'saga-' || p_saga and e.type = 'saga-stuck'
         order by e.version desc limit 1) then
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

-- Whether no event of these types lies between two places, the second included, and none can come there any more.
create or replace function amends.nothing_between(
    p_types text[], p_generation int, p_transaction bigint, p_position bigint,
    p_to_generation int, p_to_transaction bigint, p_to_position bigint
) returns boolean language sql stable as $$
    select (p_generation, p_transaction, p_position) >= (p_to_generation, p_to_transaction, p_to_position)
        or ((p_to_transaction::text::xid8 < pg_snapshot_xmin(pg_current_snapshot())
             or p_to_generation < (select max(g.generation) from amends.generations as g))
            and not exists (
                select from unnest(p_types) as t (type)
                 cross join lateral (
                       (select e.generation, e.transaction_id, e.position from amends.events as e
                         where e.type = t.type and e.generation = p_generation
                           and (e.transaction_id, e.position) > (p_transaction::text::xid8, p_position)
                         order by e.generation, e.transaction_id, e.position limit 1)
                       union all
                       (select e.generation, e.transaction_id, e.position from amends.events as e
                         where e.type = t.type and e.generation > p_generation
                         order by e.generation, e.transaction_id, e.position limit 1)) as first
                 where (first.generation, first.transaction_id, first.position)
                       <= (p_to_generation, p_to_transaction::text::xid8, p_to_position)))
$$;

-- A stretch of a saga's story: so many events at most, and none after the one that makes it longer than so many bytes.
create function amends.told(p_saga text, p_after int, p_rows int, p_bytes int)
returns table (version int, id uuid, type text, schema_version int, data text, recorded_at timestamptz)
language plpgsql stable as $$
#variable_conflict use_column
declare
    v_bytes int := 0;
begin
    for version, id, type, schema_version, data, recorded_at in
        select e.version, e.id, e.type, e.schema_version, e.data::text, e.recorded_at from amends.events as e
         where e.stream = 'saga-' || p_saga and e.version > p_after order by e.version limit p_rows
    loop
        return next;
        v_bytes := v_bytes + octet_length(data);
        exit when v_bytes > p_bytes;
    end loop;
end $$;

-- A stretch of a saga's checkpoints, as long as one of its story.
create function amends.checkpoints(p_saga text, p_after int, p_rows int, p_bytes int)
returns table (slot int, name text, output text, error text, started bigint, completed bigint)
language plpgsql stable as $$
#variable_conflict use_column
declare
    v_bytes int := 0;
begin
    for slot, name, output, error, started, completed in
        select o.function_id, o.function_name, o.output, o.error, o.started_at_epoch_ms, o.completed_at_epoch_ms
          from dbos.operation_outputs as o
         where o.workflow_uuid = p_saga and o.function_id > p_after order by o.function_id limit p_rows
    loop
        return next;
        v_bytes := v_bytes + coalesce(octet_length(output), 0) + coalesce(octet_length(error), 0);
        exit when v_bytes > p_bytes;
    end loop;
end $$;
