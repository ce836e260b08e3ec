-- What the role of the service may do: work with rows, and never drop, alter, or change an event. Of each table it gets the
-- columns that its statements write; what the database decides (a position, a time, a transaction id) it cannot give. This is
-- run again after every migration, as the owner of the tables, and takes away what an earlier version has granted.
-- Nobody else gets anything. tests/example/store/test_grants.py holds the list of all of it.

revoke all on all tables in schema amends, dbos from amends_service;
revoke all on all tables in schema amends, dbos from public;
revoke create on schema amends, dbos, views from public, amends_service;
do $$
begin
    execute format('revoke create on database %I from amends_service', current_database());
exception when insufficient_privilege then null;  -- whoever owns the database has granted it, or has not
end $$;
revoke all on all sequences in schema amends, dbos from amends_service;
revoke execute on all functions in schema amends from public, amends_service;
grant usage on schema amends, dbos, views to amends_service;
grant select on all tables in schema amends, dbos to amends_service;

-- Of an event, what a caller decides. Actor and cause stand in its metadata: they are the service's word.
grant insert (id, stream, version, type, schema_version, data, metadata) on amends.events to amends_service;
grant insert (key, digest, answer) on amends.requests to amends_service;
grant insert (id, name, version, root, reference, status, correlation_id, request, deadline_at, parent, settled, was_settled,
              actor, brake, brake_since, start_brake, due_at, executions),
      update (version, status, reason, since, finished_at, takeovers, progress, not_before, waiting_for, due_at,
              cancel_reason, parent, settled, was_settled, provider, provider_since, cause, compensation_cause,
              brake, brake_since, executions)
   on amends.sagas to amends_service;
grant insert (id, kind, name, version, step, provider, error) on amends.causes to amends_service;
grant insert (id, name, version, step, provider, starts, compensations, reason, actor),
      update (lifted_at, lifted_by, lifted_reason)
   on amends.brakes to amends_service;
grant insert (id, machine, pid, born, kinds, lease_until), update (renewed_at, lease_until, ended_at, ended_by, blocked)
   on amends.executors to amends_service;
grant insert (stream, code, version, state), update (version, state, taken_at), delete on amends.snapshots to amends_service;
grant insert (kind, name, version, digest, shape, before) on amends.shapes to amends_service;
grant insert (code, executor), update (executor, claimed_at, checked_at) on amends.checked_code to amends_service;
grant insert (id, act, filter, asked, actor, status, total, notes, finished_at),
      update (status, done, failed, moved_on, runner, lease_until, notes, moved_at, finished_at)
   on amends.bulk_acts to amends_service;
grant insert (bulk, number, saga, since), update (outcome, error) on amends.bulk_items to amends_service;
grant insert (provider, executor, down_since, error), update (down_since, error, reported_at), delete
   on amends.outages to amends_service;

-- Of a build, how far it has got. What it is, its name and its columns, is written by the functions that make its table.
grant update (generation, transaction_id, position, events, expected, runner, lease_until, failure, moved_at, caught_up_at,
              types)
   on amends.builds to amends_service;
grant insert (name, build, key, error), update (wish), delete on amends.set_aside to amends_service;
grant insert (name, build, key, position) on amends.set_aside_events to amends_service;
grant insert (name, build, key, position) on amends.skipped to amends_service;
do $$
declare
    v_build record;
begin
    for v_build in
        select to_regclass(format('views.%I', amends.build_table(b.name, b.build))) as rows,
               case when b.state = 'live' then to_regclass(format('views.%I', b.name)) end as view
          from amends.builds as b
    loop
        if v_build.rows is not null then
            execute format('revoke all on %s from amends_service', v_build.rows);
            execute format('grant select, insert, update, delete on %s to amends_service', v_build.rows);
        end if;
        if v_build.view is not null then
            execute format('revoke all on %s from amends_service', v_build.view);
            execute format('grant select on %s to amends_service', v_build.view);
        end if;
    end loop;
end $$;

-- All functions work with the caller's rights, but for those that make and drop the tables of read models. Two are for the
-- owner alone.
grant execute on all functions in schema amends to amends_service;
revoke execute on function amends.open_generation, amends.point_view from amends_service;

-- DBOS runs sagas and knows its versions here; whatever its own tools do besides, they do as the owner.
grant insert, update on dbos.workflow_status, dbos.application_versions to amends_service;
grant insert on dbos.workflow_input, dbos.operation_outputs to amends_service;
grant update (inputs) on dbos.workflow_input to amends_service;
grant insert, update, delete on dbos.workflow_output to amends_service;
