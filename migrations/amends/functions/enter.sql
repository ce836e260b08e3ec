-- Begins a session that writes events; each does so before its first one. Notes the run of the server, if it is a new one:
-- all that is written in it has a higher transaction id than the note. Answers with the run, or with what keeps this session
-- from writing: a standby cannot be written to, and after a restore new events could come before old ones.
create or replace function amends.enter(out run bigint, out problem text)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    v_server text;
    v_generation int;
begin
    if pg_is_in_recovery() then
        problem := 'the server is a standby, which cannot be written to';
        return;
    end if;
    v_server := amends.this_run();
    select r.id into run from amends.runs as r where r.server = v_server order by r.id desc limit 1;
    if found and run = (select max(r.id) from amends.runs as r) then return; end if;
    perform pg_advisory_xact_lock(hashtextextended('amends.runs', 0));
    select r.id into run from amends.runs as r where r.server = v_server order by r.id desc limit 1;
    if found and run = (select max(r.id) from amends.runs as r) then return; end if;
    select max(g.generation) into v_generation from amends.generations as g;
    if exists (select from (select e.transaction_id from amends.events as e where e.generation = v_generation
                             order by e.generation desc, e.transaction_id desc, e.position desc limit 1) as newest
                where newest.transaction_id >= pg_snapshot_xmax(pg_current_snapshot())) then
        run := null;
        problem := 'the newest event claims a transaction id that this server has not given out yet: it was restored from '
                   'another one, and new events would come before old ones in the feed until a new generation is opened';
        return;
    end if;
    insert into amends.runs (id, server, generation, first_transaction, noted_at)
    values (greatest((extract(epoch from clock_timestamp()) * 1000000)::bigint, amends.as_of() + 1), v_server,
            v_generation, pg_current_xact_id(), clock_timestamp())
    returning id into run;
end $$;
