-- What is told of a saga that nobody runs: an event and its new status, unless it has one of p_unless by now.
-- The cause of that stands beside the event, as {"cause"}. That no executor has code for it is told only as long as that is so, and whoever has it one day finds it in the queue.
create or replace function amends.note_saga(p_saga text, p_unless text[], p_events jsonb, p_status text, p_reason text)
returns boolean language plpgsql as $$
begin
    perform amends.lock_streams(array['saga-' || p_saga]);
    update amends.sagas as s set status = p_status, reason = p_reason, since = clock_timestamp(), brake = null,
           brake_since = null,
           cause = amends.note_cause(s.id, p_status, null, p_events -> 0 -> 'cause')
     where s.id = p_saga and s.status <> all (p_unless)
       and (p_status <> 'stranded' or not exists (
                select from amends.executors as x where x.ended_at is null and s.name || ':' || s.version = any (x.kinds)));
    if not found then return false; end if;
    if p_status = 'stranded' then
        update dbos.workflow_status
           set status = 'ENQUEUED', executor_id = null, owner_xid = null, started_at_epoch_ms = null, queue_name = 'amends',
               updated_at = (extract(epoch from clock_timestamp()) * 1000)::bigint
         where workflow_uuid = p_saga and status = 'PENDING' and executor_id = 'parked';
    end if;
    perform amends.insert_events(amends.told_of_saga(p_events, p_saga));
    return true;
end $$;
