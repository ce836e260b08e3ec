-- Queues sagas that belong to executors that were ended already: their start was committed after that, by a backend that
-- outlived its client. So it does with those of executors that nobody knows: the database has lost that they registered.
-- Returns how many.
create or replace function amends.release_orphans() returns int language plpgsql as $$
declare
    v_ended text[];
begin
    with recursive running (executor) as (  -- each executor once, by one look into the index for each
        (select w.executor_id from dbos.workflow_status as w where w.status = 'PENDING' order by w.executor_id limit 1)
        union all
        select (select w.executor_id from dbos.workflow_status as w
                 where w.status = 'PENDING' and w.executor_id > r.executor order by w.executor_id limit 1)
          from running as r where r.executor is not null
    )
    select array_agg(r.executor) into v_ended
      from running as r left join amends.executors as x on x.id = r.executor
     where r.executor <> 'parked' and (x.id is null or x.ended_at is not null);
    return case when v_ended is null then 0 else amends.release_sagas(v_ended, true) end;
end $$;
