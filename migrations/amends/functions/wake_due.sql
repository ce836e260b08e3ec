-- Queues sagas whose time has come, some at a time; called by whoever looks for sagas to run.
create or replace function amends.wake_due(p_limit int) returns int language plpgsql as $$
declare
    v_due text[];
begin
    with due as materialized (
        select s.id from amends.sagas as s
         where s.due_at <= clock_timestamp()
           and (s.status = 'waiting' or ((s.provider is not null or s.brake is not null) and amends.is_held(s.id)))
         order by s.due_at limit p_limit for no key update skip locked
    ), woken as (
        update amends.sagas as s
           set status = case when s.status = 'waiting' then 'running' else s.status end, since = clock_timestamp(),
               waiting_for = null, due_at = null, brake = null, brake_since = null,
               cause = case when s.brake is null then s.cause end
          from due where s.id = due.id returning s.id
    )
    select coalesce(array_agg(id), '{}') into v_due from woken;
    perform amends.queue_saga(id) from unnest(v_due) as id;
    return cardinality(v_due);
end $$;
