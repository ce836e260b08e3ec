-- Drops a build that is not live. outcome: dropped; live; unknown.
create or replace function amends.drop_build(p_name text, p_build int) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_state text;
begin
    perform set_config('lock_timeout', '250ms', true);  -- who waits here holds the feed back
    perform pg_advisory_xact_lock(hashtextextended('amends.builds:' || p_name, 0));
    select state into v_state from amends.builds where name = p_name and build = p_build for update;
    if not found then return 'unknown'; end if;
    if v_state = 'live' then return 'live'; end if;
    delete from amends.builds where name = p_name and build = p_build;
    execute format('drop table if exists views.%I', amends.build_table(p_name, p_build));
    return 'dropped';
end $$;
