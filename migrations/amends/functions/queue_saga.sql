-- Puts a saga that rests back into the queue, one that was ended in DBOS's own tools included; the caller holds its row.
create or replace function amends.queue_saga(p_saga text) returns void language plpgsql as $$
begin
    update dbos.workflow_status
       set status = 'ENQUEUED', executor_id = null, owner_xid = null, started_at_epoch_ms = null, queue_name = 'amends',
           completed_at = null, updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
     where workflow_uuid = p_saga and status <> 'SUCCESS';
end $$;
