-- Locks streams in one order everywhere, so that two appends never wait for each other. Advisory locks take no transaction
-- id: every function takes the locks of all streams concerned before its first write, so that the transaction ids of one
-- stream's events rise with their versions. The feed relies on it.
create or replace function amends.lock_streams(p_streams text[]) returns void language plpgsql as $$
begin
    perform pg_advisory_xact_lock(key)
       from (select distinct hashtextextended('amends.stream:' || stream, 0) as key
               from unnest(p_streams) as stream order by key) as keys;
end $$;
