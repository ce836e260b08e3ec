-- What the role of the service may do: work with rows, and never drop, alter, or change an event. It is run again
-- after every migration, as the owner of the tables.
revoke all on all tables in schema amends from amends_service;
grant usage on schema amends, dbos, sandbox to amends_service;
grant select on all tables in schema amends to amends_service;
grant insert on amends.events, amends.requests to amends_service;
grant insert, update on amends.sagas, amends.executors to amends_service;
grant insert, update, delete on amends.snapshots, amends.outages to amends_service;
grant select, insert, update, delete on all tables in schema dbos to amends_service;
grant usage, select on all sequences in schema dbos to amends_service;
grant select, insert, update, delete on all tables in schema sandbox to amends_service;
revoke execute on function amends.open_generation(text) from public;
