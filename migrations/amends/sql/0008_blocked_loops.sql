-- Whose code blocks the event loop of its server: noted while it blocks, and on record once the lease of that server is
-- over, by its own watchdog or by whoever takes over.

alter table amends.executors add column blocked jsonb;
comment on column amends.executors.blocked is
    'What blocks its event loop right now, as {"saga", "events"}: put on record when its lease is over.';

-- Puts on record what blocked the event loop, if the saga is not finished. The caller holds the lock of its stream.
create function amends.record_blocked(p_blocked jsonb) returns boolean language plpgsql as $$
begin
    if not exists (select from amends.sagas where id = p_blocked ->> 'saga' and finished_at is null) then
        return false;
    end if;
    perform amends.insert_events(amends.told_of_saga(p_blocked -> 'events', p_blocked ->> 'saga'));
    return true;
end $$;

-- What the watchdog of an executor says: what blocks its event loop, null once nothing does; `p_final` says that this is
-- to be put on record now. Answers whether the executor lives: after its end others have put it on record.
create function amends.note_blocked(p_executor text, p_blocked jsonb, p_final boolean) returns boolean language plpgsql as $$
begin
    if p_final then
        perform amends.lock_streams(array['saga-' || (p_blocked ->> 'saga')]);
    end if;
    update amends.executors set blocked = case when p_final then null else p_blocked end
     where id = p_executor and ended_at is null;
    if not found then return false; end if;
    if p_final and not exists (select from amends.events where id = (p_blocked -> 'events' -> 0 ->> 'id')::uuid) then
        perform amends.record_blocked(p_blocked);
    end if;
    return true;
end $$;

-- Ends executors, each once, and releases what they ran; what blocked their event loops is put on record. An executor that
-- finds itself ended must exit.
create or replace function amends.end_executors(p_executors text[], p_by text, p_died boolean) returns int language plpgsql as $$
declare
    v_streams text[];
    v_ended text[];
    v_blocked jsonb[];
begin
    select array_agg('saga-' || (blocked ->> 'saga')) into v_streams
      from amends.executors where id = any (p_executors) and ended_at is null and blocked is not null;
    if v_streams is not null then
        perform amends.lock_streams(v_streams);
    end if;
    with ended as (
        update amends.executors set ended_at = clock_timestamp(), ended_by = p_by
         where id = any (p_executors) and ended_at is null returning id, blocked
    )
    select coalesce(array_agg(id), '{}'), array_agg(blocked) filter (where blocked is not null)
      into v_ended, v_blocked from ended;
    for n in 1 .. coalesce(cardinality(v_blocked), 0) loop
        if 'saga-' || (v_blocked[n] ->> 'saga') <> all (coalesce(v_streams, '{}')) then
            raise exception 'an executor was blocked since the locks were chosen' using errcode = 'serialization_failure';
        end if;
        perform amends.record_blocked(v_blocked[n]);
    end loop;
    return amends.release_sagas(v_ended, p_died);
end $$;
