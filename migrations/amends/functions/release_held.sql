-- Queues sagas whose brake is not in force any more, some at a time, those first that wait for longest; returns how many.
-- The brakes at which sagas wait are found by an index that holds what waits alone, each with one look.
create or replace function amends.release_held(p_limit int) returns int language plpgsql as $$
#variable_conflict use_column
declare
    v_free text[];
    v_queued text[];
begin
    with recursive waited as (
        (select s.brake from amends.sagas as s where s.brake is not null order by s.brake limit 1)
        union all
        select (select s.brake from amends.sagas as s where s.brake > w.brake order by s.brake limit 1)
          from waited as w where w.brake is not null
    ), free as materialized (
        select s.id from waited as w
         cross join lateral (select x.id, x.brake_since from amends.sagas as x where x.brake = w.brake
                              order by x.brake_since, x.id limit p_limit for no key update skip locked) as s
         where w.brake is not null
           and not exists (select from amends.brakes as b where b.id = w.brake and b.lifted_at is null)
         order by s.brake_since, s.id limit p_limit
    )
    select coalesce(array_agg(f.id), '{}') into v_free from free as f;
    select coalesce(array_agg(f.id), '{}') into v_queued from unnest(v_free) as f (id) where amends.is_held(f.id);
    update amends.sagas as s
       set brake = null, brake_since = null,
           due_at = case when s.id = any (v_queued) then null else s.due_at end,
           cause = case when s.id = any (v_queued) then null else s.cause end,
           since = case when s.id = any (v_queued) then clock_timestamp() else s.since end
     where s.id = any (v_free);
    perform amends.queue_saga(q.id) from unnest(v_queued) as q (id);
    return cardinality(v_free);
end $$;
