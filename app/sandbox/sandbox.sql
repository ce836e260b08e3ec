-- name: lock
-- One call at a time for each key.
select pg_advisory_xact_lock(key)
  from (select hashtextextended('sandbox:' || k, 0) as key from unnest(%(keys)s::text[]) as k order by key) as keys

-- name: effect
select id from sandbox.effects where idempotency_key = %(key)s

-- name: amount_of
select amount from sandbox.effects where idempotency_key = %(key)s

-- name: undone
select by_key from sandbox.undone where idempotency_key = %(key)s

-- name: failures
select count(*) from sandbox.calls where idempotency_key = %(key)s and status >= 500

-- name: request_of
select request from sandbox.calls where idempotency_key = %(key)s order by id limit 1

-- name: switch
select enabled from sandbox.switches where name = %(name)s

-- name: set_switch
insert into sandbox.switches (name, enabled) values (%(name)s, %(enabled)s)
on conflict (name) do update set enabled = excluded.enabled

-- name: do
insert into sandbox.effects (id, provider, operation, idempotency_key, reference, amount)
values (left(%(operation)s, 2) || '_' || replace(gen_random_uuid()::text, '-', ''), %(provider)s, %(operation)s, %(key)s,
        %(reference)s, %(amount)s)
returning id

-- name: remember_undone
insert into sandbox.undone (idempotency_key, by_key) values (%(key)s, %(by)s) on conflict do nothing

-- name: postpone
insert into sandbox.pending (idempotency_key, provider, operation, reference, amount, request, due_at)
values (%(key)s, %(provider)s, %(operation)s, %(reference)s, %(amount)s, %(request)s, clock_timestamp() + %(delay)s)
on conflict do nothing

-- name: journal
insert into sandbox.calls (provider, operation, idempotency_key, reference, request, status, outcome)
values (%(provider)s, %(operation)s, %(key)s, %(reference)s, %(request)s, %(status)s, %(outcome)s)

-- name: next_due
select extract(epoch from min(due_at) - clock_timestamp())::float8 from sandbox.pending

-- name: take_due
delete from sandbox.pending
 where idempotency_key = (select idempotency_key from sandbox.pending where due_at <= clock_timestamp()
                           order by due_at limit 1 for update skip locked)
returning idempotency_key, provider, operation, reference, amount, request
