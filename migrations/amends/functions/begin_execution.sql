-- The executions of a saga, once an executor runs it: the newest 20. Whoever gave it back without a word, at p_left_at, has
-- handed it over.
create or replace function amends.begin_execution(
    p_executions amends.execution[], p_executor text, p_at timestamptz, p_left_at timestamptz
) returns amends.execution[] language plpgsql immutable as $$
declare
    v_executions amends.execution[] := amends.end_execution(p_executions, p_left_at, 'handed-over');
    v_count int := cardinality(v_executions);
    v_number int := coalesce((v_executions[v_count]).number, 0) + 1;
begin
    return v_executions[greatest(v_count - 18, 1):] || (v_number, p_executor, p_at, null, null)::amends.execution;
end $$;
