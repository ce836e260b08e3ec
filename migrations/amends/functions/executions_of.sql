-- The executions of a saga as they are shown, with the process of each: one that was handed over, or whose workflow was
-- terminated, has ended then, although nothing was written of that.
create or replace function amends.executions_of(p_saga text)
returns table (number int, executor text, machine text, pid int, began_at timestamptz, ended_at timestamptz, ended_by text)
language sql stable as $$
    select e.number, e.executor, x.machine, x.pid, e.began_at,
           case when e.ended_at is not null or u.ended_by is null then e.ended_at
                else greatest(to_timestamp(w.updated_at / 1000.0), e.began_at) end,
           coalesce(e.ended_by, u.ended_by)
      from amends.sagas as s
      join dbos.workflow_status as w on w.workflow_uuid = s.id
     cross join unnest(s.executions) as e
     cross join lateral (select case w.status when 'ENQUEUED' then 'handed-over' when 'CANCELLED' then 'terminated'
                                              when 'ERROR' then 'terminated' end as ended_by) as u
      left join amends.executors as x on x.id = e.executor
     where s.id = p_saga
     order by e.number
$$;
