-- Locks streams in one order everywhere, so that two appends never wait for each other.
create or replace function amends.lock_streams(p_streams text[]) returns void language plpgsql as $$
begin
    perform pg_advisory_xact_lock(key)
       from (select distinct hashtextextended('amends.stream:' || stream, 0) as key
               from unnest(p_streams) as stream order by key) as keys;
end $$;
