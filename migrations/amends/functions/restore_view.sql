-- Makes the view of a read model once more, if somebody has dropped it, as with a column of the table.
create or replace function amends.restore_view(p_name text) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_build int;
begin
    perform pg_advisory_xact_lock(hashtextextended('amends.builds:' || p_name, 0));
    select build into v_build from amends.builds where name = p_name and state = 'live';
    if found and to_regclass(format('views.%I', p_name)) is null then
        perform amends.point_view(p_name, v_build);
    end if;
end $$;
