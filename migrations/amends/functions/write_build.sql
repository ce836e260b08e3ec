-- One commit of a runner: rows, the checkpoint, and what is set aside, if nobody else has moved the checkpoint or taken the
-- lease. It is safe to lose with synchronous_commit off: rows and checkpoint are lost together, and are made again.
-- p_aside is [{"key", "error", "positions"}]; without an error the key waits already, and its events wait behind it.
-- The key p_cleared waits no longer, since p_granted was wished: what a person has wished of it since then stays, if the same
-- event is set aside once more. p_skipped, [{"key", "position"}], is what a person let it leave out. Returns whether it was
-- committed.
create or replace function amends.write_build(
    p_name text, p_build int, p_runner text, p_lease interval, p_from bigint[], p_to bigint[], p_events bigint,
    p_rows json, p_gone text[], p_cleared text, p_granted text, p_aside jsonb, p_caught_up boolean, p_skipped jsonb
) returns boolean language plpgsql as $$
declare
    v_wish text;
    v_first bigint;
begin
    perform set_config('synchronous_commit', 'off', true);
    update amends.builds
       set generation = p_to[1], transaction_id = p_to[2], position = p_to[3], events = events + p_events,
           moved_at = clock_timestamp(), lease_until = clock_timestamp() + p_lease, failure = null,
           caught_up_at = case when p_caught_up then coalesce(caught_up_at, clock_timestamp()) else caught_up_at end
     where name = p_name and build = p_build and runner = p_runner
       and (generation, transaction_id, position) = (p_from[1], p_from[2], p_from[3]);
    if not found then return false; end if;
    perform amends.put_rows(p_name, p_build, p_rows, p_gone);
    select s.wish into v_wish from amends.set_aside as s
     where s.name = p_name and s.build = p_build and s.digest = amends.key_digest(p_cleared) for update;
    select min(a.position) into v_first from amends.set_aside_events as a
     where a.name = p_name and a.build = p_build and a.digest = amends.key_digest(p_cleared);
    delete from amends.set_aside where name = p_name and build = p_build and digest = amends.key_digest(p_cleared);
    insert into amends.skipped (name, key, position, build)
    select p_name, s ->> 'key', (s ->> 'position')::bigint, p_build from jsonb_array_elements(p_skipped) as s
        on conflict do nothing;
    insert into amends.set_aside (name, build, key, error)
    select p_name, p_build, a ->> 'key', a ->> 'error' from jsonb_array_elements(p_aside) as a
     where a ->> 'error' is not null;
    insert into amends.set_aside_events (name, build, key, position)
    select p_name, p_build, a ->> 'key', p::bigint
      from jsonb_array_elements(p_aside) as a cross join jsonb_array_elements_text(a -> 'positions') as p;
    if v_wish <> p_granted then
        update amends.set_aside as s set wish = v_wish
         where s.name = p_name and s.build = p_build and s.digest = amends.key_digest(p_cleared)
           and v_first = (select min(a.position) from amends.set_aside_events as a
                           where a.name = p_name and a.build = p_build and a.digest = s.digest);
    end if;
    return true;
end $$;
