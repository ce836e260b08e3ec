-- Ends executors, each once, and releases what they ran; what blocked their event loops is put on record. An executor that
-- finds itself ended gives up what it runs. Their rows are locked as a whole: nothing is claimed for them meanwhile.
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
    perform from amends.executors where id = any (p_executors) and ended_at is null order by id for update;
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
