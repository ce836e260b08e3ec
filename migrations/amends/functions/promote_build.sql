-- Switches a read model to another build in one transaction: who reads sees the old one or the new one, never less than
-- before, and may do with it what he might before. outcome: promoted; live (it is already); unknown; behind (it has not got
-- as far as the live one); less (keys are set aside in it that the live one shows, and p_less does not allow that).
create or replace function amends.promote_build(p_name text, p_build int, p_less boolean default false) returns text
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_old amends.builds;
    v_new amends.builds;
    v_from regclass;
    v_to regclass := to_regclass(format('views.%I', amends.build_table(p_name, p_build)));
begin
    perform set_config('lock_timeout', '250ms', true);  -- who waits here holds the feed back
    perform pg_advisory_xact_lock(hashtextextended('amends.builds:' || p_name, 0));
    select b.* into v_new from amends.builds as b where b.name = p_name and b.build = p_build;
    if not found then return 'unknown'; end if;
    if v_new.state = 'live' then return 'live'; end if;
    select b.* into v_old from amends.builds as b where b.name = p_name and b.state = 'live' for no key update;
    select b.* into v_new from amends.builds as b where b.name = p_name and b.build = p_build for no key update;
    if v_new.caught_up_at is null or v_old.build is not null and not amends.nothing_between(
        v_new.types, v_new.generation, v_new.transaction_id, v_new.position,
        v_old.generation, v_old.transaction_id, v_old.position) then
        return 'behind';
    end if;
    if not p_less and exists (select from amends.shown_less(p_name, p_build, v_old.build)) then
        return 'less';
    end if;
    update amends.builds set state = 'retired' where name = p_name and build = v_old.build;
    update amends.builds set state = 'live', promoted_at = clock_timestamp() where name = p_name and build = p_build;
    perform amends.point_view(p_name, p_build);
    if v_old.build is not null then
        v_from := to_regclass(format('views.%I', amends.build_table(p_name, v_old.build)));
    end if;
    if v_from is not null then
        perform amends.copy_surroundings(v_from, v_to);
        if exists (select from pg_roles where rolname = 'amends_service') then
            execute format('grant select, insert, update, delete on %s to amends_service', v_to);
        end if;
    end if;
    return 'promoted';
end $$;
