-- Makes an answer as durable as a first one, and returns true. Whoever answers from what is there, because the same was sent
-- before, may see a commit that no standby has yet (its wait was cancelled): so its transaction writes something as well,
-- and its commit waits as any other. It does so whatever the transaction has done before: one may have an id and have written
-- nothing, such as after an insert that did nothing, whose column asked for the id.
create or replace function amends.durable() returns boolean language plpgsql as $$
begin
    perform pg_logical_emit_message(true, 'amends', '');
    return true;
end $$;
