-- Notes that a saga runs that was not claimed: DBOS itself has begun it. What it does may be left without a record.
create or replace function amends.note_unclaimed_run(p_saga text) returns void language plpgsql as $$
declare
    v_executor text;
begin
    select w.executor_id into v_executor from dbos.workflow_status as w
     where w.workflow_uuid = p_saga and w.status = 'PENDING' and w.executor_id <> 'parked';
    if v_executor = (select e.executor from amends.sagas as s cross join unnest(s.executions) as e
                      where s.id = p_saga and e.ended_at is null) then
        v_executor := null;
    end if;
    update amends.sagas as s
       set settled = false, was_settled = false,
           executions = case when v_executor is null or s.finished_at is not null then s.executions
                             else amends.begin_execution(s.executions, v_executor, clock_timestamp(), clock_timestamp()) end
     where s.id = p_saga and (s.settled or s.was_settled or v_executor is not null);
end $$;
