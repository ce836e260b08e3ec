-- The executions of a saga, once its executor has left it; those of a saga that nobody runs are as they were.
create or replace function amends.end_execution(p_executions amends.execution[], p_at timestamptz, p_by text)
returns amends.execution[] language plpgsql immutable as $$
declare
    v_last int := cardinality(p_executions);
begin
    if v_last > 0 and (p_executions[v_last]).ended_at is null then
        p_executions[v_last].ended_at := greatest(p_at, (p_executions[v_last]).began_at);
        p_executions[v_last].ended_by := p_by;
    end if;
    return p_executions;
end $$;
