-- Takes sagas out of the queue that have not begun and that a brake holds, some at a time; returns the types whose starts are
-- held. What is to be cancelled, or is past its deadline, is begun all the same: it turns back.
create or replace function amends.hold_starts(p_kinds text[], p_limit int) returns text[] language plpgsql as $$
#variable_conflict use_column
declare
    v_held text[];
    v_sagas text[];
begin
    if not exists (select from amends.brakes as b where b.lifted_at is null and b.step is null and b.provider is null) then
        return '{}';
    end if;
    select coalesce(array_agg(k.kind), '{}') into v_held from unnest(p_kinds) as k (kind)
     where (amends.start_brake(split_part(k.kind, ':', 1), split_part(k.kind, ':', 2)::int)).id is not null;
    if v_held = '{}' or not exists (
        select from dbos.workflow_status as w join amends.sagas as s on s.id = w.workflow_uuid
         where w.queue_name = 'amends' and w.status = 'ENQUEUED' and s.status = 'queued'
           and s.name || ':' || s.version = any (v_held) and not amends.must_begin(s)) then
        return v_held;
    end if;
    with held as materialized (
        select w.workflow_uuid from dbos.workflow_status as w join amends.sagas as s on s.id = w.workflow_uuid
         where w.queue_name = 'amends' and w.status = 'ENQUEUED' and s.status = 'queued'
           and s.name || ':' || s.version = any (v_held) and not amends.must_begin(s)
         order by w.priority, w.created_at limit p_limit for no key update of w skip locked
    ), parked as (
        update dbos.workflow_status as w
           set status = 'PENDING', executor_id = 'parked', owner_xid = null,
               updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
          from held as h where w.workflow_uuid = h.workflow_uuid
        returning w.workflow_uuid
    )
    select coalesce(array_agg(p.workflow_uuid), '{}') into v_sagas from parked as p;
    update amends.sagas as s
       set brake = b.id, brake_since = s.started_at, due_at = s.deadline_at,
           cause = amends.note_cause(s.id, s.status, null, jsonb_build_object('kind', 'brake', 'error', b.id))
      from unnest(v_held) as k (kind)
     cross join lateral amends.start_brake(split_part(k.kind, ':', 1), split_part(k.kind, ':', 2)::int) as b
     where s.id = any (v_sagas) and s.name || ':' || s.version = k.kind;
    return v_held;
end $$;
