-- What the role of the service may do with the tables of the example. It is run after every migration, as their owner.

-- The books of the test-mode provider. To lock a row one needs the right to change some column of it.
revoke create on schema sandbox from public, amends_service;
revoke all on all sequences in schema sandbox from amends_service;
grant usage on schema sandbox to amends_service;
revoke all on sandbox.calls, sandbox.effects, sandbox.undone, sandbox.pending, sandbox.switches from amends_service;
grant select on sandbox.calls, sandbox.effects, sandbox.undone, sandbox.pending, sandbox.switches to amends_service;
grant insert (provider, operation, idempotency_key, reference, request, status, outcome) on sandbox.calls to amends_service;
grant insert (id, provider, operation, idempotency_key, reference, amount) on sandbox.effects to amends_service;
grant insert (idempotency_key, by_key) on sandbox.undone to amends_service;
grant insert (idempotency_key, provider, operation, reference, amount, request, due_at), update (due_at), delete
   on sandbox.pending to amends_service;
grant insert (name, enabled), update (enabled) on sandbox.switches to amends_service;
