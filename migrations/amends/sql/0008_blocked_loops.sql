-- Whose code blocks the event loop of its server: noted while it blocks, and on record once the lease of that server is
-- over, by its own watchdog or by whoever takes over.

alter table amends.executors add column blocked jsonb;
comment on column amends.executors.blocked is
    'What blocks its event loop right now, as {"saga", "events"}: put on record when its lease is over.';
