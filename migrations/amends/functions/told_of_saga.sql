-- Events about a saga belong to its story, whoever tells them.
create or replace function amends.told_of_saga(p_events jsonb, p_saga text) returns jsonb language plpgsql as $$
begin
    return (select jsonb_agg(jsonb_set(e.value, '{metadata}', (e.value -> 'metadata')
                   || jsonb_build_object('correlation_id', s.correlation_id, 'workflow_id', s.id)) order by e.n)
              from amends.sagas as s cross join jsonb_array_elements(p_events) with ordinality as e (value, n)
             where s.id = p_saga);
end $$;
