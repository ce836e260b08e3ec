-- A stretch of a saga's checkpoints, as long as one of its story.
create or replace function amends.checkpoints(p_saga text, p_after int, p_rows int, p_bytes int)
returns table (slot int, name text, output text, error text, started bigint, completed bigint)
language plpgsql stable as $$
#variable_conflict use_column
declare
    v_bytes int := 0;
begin
    for slot, name, output, error, started, completed in
        select o.function_id, o.function_name, o.output, o.error, o.started_at_epoch_ms, o.completed_at_epoch_ms
          from dbos.operation_outputs as o
         where o.workflow_uuid = p_saga and o.function_id > p_after order by o.function_id limit p_rows
    loop
        return next;
        v_bytes := v_bytes + coalesce(octet_length(output), 0) + coalesce(octet_length(error), 0);
        exit when v_bytes > p_bytes;
    end loop;
end $$;
