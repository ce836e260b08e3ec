-- History that went back is put on record, and places from before that lie beyond it are not vouched for any more.

create table amends.losses (
    id              bigint generated always as identity primary key,
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
comment on column amends.losses.run is 'The run in which it was noticed: places that were given out in an earlier one may be gone.';

-- Puts on record that events are gone.
create function amends.note_loss(
    p_by text, p_generation int, p_transaction xid8, p_position bigint, p_events int, p_first text, p_last text
) returns void language sql security definer set search_path = pg_catalog, pg_temp as $$
    insert into amends.losses (noticed_by, run, generation, transaction_id, position, events, first, last)
    select p_by, coalesce(max(r.id), 0), p_generation, p_transaction, p_position, p_events, p_first, p_last
      from amends.runs as r;
$$;

-- Whether a reader who goes on after a place that was given out in run p_run misses nothing: its event still stands, and
-- nothing before it is known to be gone since. A place without an event is taken as it is.
create function amends.vouched(p_generation int, p_transaction xid8, p_position bigint, p_event uuid, p_run bigint)
returns boolean language plpgsql stable as $$
begin
    return p_event is null
        or amends.stands(p_position, p_event) and not exists (
            select from amends.losses as l
             where l.run > p_run
               and (l.generation, l.transaction_id, l.position) < (p_generation, p_transaction, p_position));
end $$;

-- The last event before a place that is not vouched for any more that was there when the place was given out, in run p_run,
-- and before which nothing is known to be gone since: what was written in a later run may come before the place, and its
-- reader has not seen it. No row: there is none.
create or replace function amends.last_standing(p_generation int, p_transaction xid8, p_position bigint, p_run bigint)
returns table (generation int, transaction_id xid8, "position" bigint, id uuid) language plpgsql stable as $$
#variable_conflict use_column
declare
    v_first xid8 := (select min(r.first_transaction) from amends.runs as r where r.id > p_run and r.generation = p_generation);
    v_generation int;
    v_transaction xid8;
    v_position bigint;
begin
    select l.generation, l.transaction_id, l.position into v_generation, v_transaction, v_position
      from amends.losses as l where l.run > p_run order by l.generation, l.transaction_id, l.position limit 1;
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
