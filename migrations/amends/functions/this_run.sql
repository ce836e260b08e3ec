-- The run of the server that this session is part of. A crash that the server survives is known by its statistics, which are
-- dropped then.
create or replace function amends.this_run() returns text language plpgsql stable as $$
begin
    return (select s.system_identifier || ' ' || left(pg_walfile_name(pg_current_wal_lsn()), 8) || ' '
                   || (extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint || ' '
                   || coalesce((extract(epoch from w.stats_reset) * 1000000)::bigint, 0)
              from pg_control_system() as s cross join pg_stat_wal as w);
end $$;
