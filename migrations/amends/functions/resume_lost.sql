-- Queues sagas whose workflow has ended although their own story has not: the database has lost the commit that ended them,
-- and DBOS has written its outcome after that. The story is what counts. Returns how many.
create or replace function amends.resume_lost() returns int language plpgsql as $$
declare
    v_lost text[];
    v_saga text;
begin
    select array_agg(s.id) into v_lost
      from dbos.workflow_status as w join amends.sagas as s on s.id = w.workflow_uuid
      left join dbos.workflow_output as o on o.workflow_uuid = w.workflow_uuid
     where s.finished_at is null and s.status in ('running', 'waiting', 'compensating', 'stuck', 'stranded')
       and w.application_name = 'amends'
       and (w.status = 'SUCCESS' or (w.status = 'ERROR' and o.error like '{"name": "TurnedBack"%'));
    foreach v_saga in array coalesce(v_lost, '{}') loop
        perform amends.lock_streams(array['saga-' || v_saga]);
        update dbos.workflow_status set status = 'PENDING', completed_at = null
         where workflow_uuid = v_saga and status in ('SUCCESS', 'ERROR')
           and exists (select from amends.sagas as s where s.id = v_saga and s.finished_at is null);
        if found then
            delete from dbos.workflow_output where workflow_uuid = v_saga;
            update amends.sagas set settled = false, executions = amends.end_execution(executions, clock_timestamp(), 'lost')
             where id = v_saga;
            perform amends.queue_saga(v_saga);
        end if;
    end loop;
    return coalesce(cardinality(v_lost), 0);
end $$;
