-- What is asked of one saga, one stream or one place is answered as quickly in a large store as in a small one.

create index sagas_name on amends.sagas (name, started_at desc, id desc);

-- Where sagas turned back or got stuck: the few events that say how one stands, found without reading its story.
create index events_turns on amends.events (stream, version) where type in ('saga-compensating', 'saga-stuck');

-- Who runs what: everything that waits is pending too, and belongs to nobody.
create index amends_running on dbos.workflow_status (executor_id) where status = 'PENDING';
