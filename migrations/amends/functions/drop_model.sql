-- Drops a read model whose code is gone: its view and all its tables. outcome: dropped; followed (somebody has its code, or
-- had it 20 seconds ago: a server that has it takes each lease within a second after it is over, and renews it every three
-- seconds); unknown. The age is that at the beginning of the transaction, before which it can have locked nothing.
create or replace function amends.drop_model(p_name text) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_build int;
begin
    perform set_config('lock_timeout', '250ms', true);
    perform pg_advisory_xact_lock(hashtextextended('amends.builds:' || p_name, 0));
    perform from amends.builds where name = p_name for update;
    if not found then return 'unknown'; end if;
    if exists (select from amends.builds where name = p_name and touched_at > now() - interval '20 s') then
        return 'followed';
    end if;
    if amends.is_view_of(to_regclass(format('views.%I', p_name)), p_name) then
        execute format('drop view views.%I', p_name);
    end if;
    for v_build in delete from amends.builds where name = p_name returning build loop
        execute format('drop table if exists views.%I', amends.build_table(p_name, v_build));
    end loop;
    delete from amends.skipped where name = p_name;
    return 'dropped';
end $$;
