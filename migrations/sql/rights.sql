-- What the role of the service may do: work with rows, and never drop, alter, or change an event. It is run again
-- after every migration, as the owner of the tables.
revoke all on all tables in schema amends from amends_service;
grant usage on schema amends, dbos, sandbox to amends_service;
grant select on all tables in schema amends to amends_service;
grant insert on amends.events, amends.requests, amends.shapes to amends_service;
grant insert, update on amends.sagas, amends.executors to amends_service;
grant insert, update, delete on amends.snapshots, amends.outages to amends_service;
grant select, insert, update, delete on all tables in schema dbos to amends_service;
grant usage, select on all sequences in schema dbos to amends_service;
grant select, insert, update, delete on all tables in schema sandbox to amends_service;
revoke execute on function amends.open_generation(text) from public;
grant usage on schema views to amends_service;
grant select, insert, update, delete on all tables in schema views to amends_service;
grant select, update on amends.builds to amends_service;
grant select, insert, update, delete on amends.set_aside, amends.set_aside_events to amends_service;
grant insert on amends.skipped to amends_service;
revoke execute on function amends.open_build, amends.promote_build, amends.drop_build, amends.drop_model, amends.point_view,
    amends.restore_view from public;
grant execute on function amends.open_build, amends.promote_build, amends.drop_build, amends.drop_model, amends.restore_view
    to amends_service;
