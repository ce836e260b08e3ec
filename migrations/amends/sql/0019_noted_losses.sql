-- History that went back is put on record, and places from before that lie beyond it are not vouched for any more.

create table amends.losses (
    id              bigint primary key,
    noticed_at      timestamptz not null default clock_timestamp(),
    noticed_by      text not null,
    run             bigint not null,
    generation      int not null,
    transaction_id  xid8 not null,
    position        bigint not null,
    events          int not null,
    first           text not null,
    last            text not null
);
comment on table amends.losses is
    'What servers have noticed to be gone when another run of the database server answered: at least so many events, from the '
    'first to the last of them, all of them after the last place that still stands. Several may have noticed the same.';
comment on column amends.losses.id is 'Microseconds since 1970 at which it was noted: places that were given out before may be gone.';
comment on column amends.losses.run is 'The run in which it was noticed.';

-- How far it is on record what the database has lost: the newest run or loss that was noted. A place that was given out later
-- vouches for nothing that was lost before; one that was given out before it was noted is looked at again.
create function amends.as_of() returns bigint language sql stable as $$
    select greatest(coalesce((select max(r.id) from amends.runs as r), 0), coalesce((select max(l.id) from amends.losses as l), 0))
$$;

-- Puts on record that events are gone; returns the number of the record, which is on disk then whatever the database sets.
create function amends.note_loss(
    p_by text, p_generation int, p_transaction xid8, p_position bigint, p_events int, p_first text, p_last text
) returns bigint language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_id bigint;
begin
    perform set_config('synchronous_commit', 'on', true);
    perform pg_advisory_xact_lock(hashtextextended('amends.runs', 0));
    insert into amends.losses (id, noticed_by, run, generation, transaction_id, position, events, first, last)
    select greatest((extract(epoch from clock_timestamp()) * 1000000)::bigint, amends.as_of() + 1), p_by,
           coalesce(max(r.id), 0), p_generation, p_transaction, p_position, p_events, p_first, p_last
      from amends.runs as r
    returning id into v_id;
    return v_id;
end $$;

-- Whether a reader who goes on after a place that was given out as of p_run misses nothing: its event still stands, and
-- nothing before it is known to be gone since. A place without an event is taken as it is.
create function amends.vouched(p_generation int, p_transaction xid8, p_position bigint, p_event uuid, p_run bigint)
returns boolean language plpgsql stable as $$
begin
    return p_event is null
        or amends.stands(p_position, p_event) and not exists (
            select from amends.losses as l
             where l.id > p_run
               and (l.generation, l.transaction_id, l.position) < (p_generation, p_transaction, p_position));
end $$;

-- The last event before a place that is not vouched for any more that was there when the place was given out, as of p_run,
-- and before which nothing is known to be gone since: what was written in a later run may come before the place, and its
-- reader has not seen it. No row: there is none.
create function amends.last_standing(p_generation int, p_transaction xid8, p_position bigint, p_run bigint)
returns table (generation int, transaction_id xid8, "position" bigint, id uuid) language plpgsql stable as $$
#variable_conflict use_column
declare
    v_first xid8 := (select min(r.first_transaction) from amends.runs as r where r.id > p_run and r.generation = p_generation);
    v_generation int;
    v_transaction xid8;
    v_position bigint;
begin
    select l.generation, l.transaction_id, l.position into v_generation, v_transaction, v_position
      from amends.losses as l where l.id > p_run order by l.generation, l.transaction_id, l.position limit 1;
    if not found then
        v_generation := p_generation;
        v_transaction := p_transaction;
        v_position := p_position;
    end if;
    return query
    select e.generation, e.transaction_id, e.position, e.id from amends.events as e
     where (e.generation, e.transaction_id, e.position)
         < (p_generation, least(v_first, p_transaction), case when v_first <= p_transaction then 0 else p_position end)
       and (e.generation, e.transaction_id, e.position) <= (v_generation, v_transaction, v_position)
     order by e.generation desc, e.transaction_id desc, e.position desc limit 1;
end $$;

-- The place of an event as a token: generation, transaction and position are its order, the event is what stands there, and
-- the last number says how far it was on record by then what the database has lost.
create or replace function amends.place_token(p_position bigint) returns text language plpgsql as $$
begin
    return (select e.generation || '-' || e.transaction_id || '-' || e.position || '-' || replace(e.id::text, '-', '') || '-'
                   || amends.as_of()
              from amends.events as e where e.position = p_position);
end $$;

-- The most frequent append, one event to one stream, in as few statements as there can be; null if it is another one,
-- or if it cannot be done: amends.append_locked then says why.
create or replace function amends.append_one(p_events jsonb, p_expected jsonb) returns text language plpgsql as $$
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
    if v_position is null then return null; end if;
    return v_generation || '-' || pg_current_xact_id() || '-' || v_position || '-' || replace(v_event ->> 'id', '-', '') || '-'
           || amends.as_of();
end $$;
