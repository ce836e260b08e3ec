-- Queues sagas that belong to executors that were ended already: their start was committed after that, by a backend that
-- outlived its client. Returns how many.
create or replace function amends.release_orphans() returns int language plpgsql as $$
declare
    v_ended text[];
begin
    select array_agg(distinct w.executor_id) into v_ended
      from dbos.workflow_status as w join amends.executors as x on x.id = w.executor_id
     where w.status = 'PENDING' and w.application_name = 'amends' and x.ended_at is not null;
    return case when v_ended is null then 0 else amends.release_sagas(v_ended, true) end;
end $$;
