-- Whether a saga waits for a provider or at a brake, and nobody runs it.
create or replace function amends.is_held(p_saga text) returns boolean language sql stable as $$
    select exists (select from amends.sagas as s join dbos.workflow_status as w on w.workflow_uuid = s.id
                    where s.id = p_saga
                      and ((s.provider is not null and s.status in ('running', 'compensating'))
                           or (s.brake is not null and s.status in ('queued', 'running', 'compensating')))
                      and w.status = 'PENDING' and w.executor_id = 'parked')
$$;
