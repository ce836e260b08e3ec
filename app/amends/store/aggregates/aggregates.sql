-- name: load
-- What is needed to fold a stream up to a version: a snapshot, if there is one (its type is null), and what came after.
with snapshot as materialized (
    select version, state from amends.snapshots
     where stream = %(stream)s and code = %(code)s and version <= %(until)s
)
select version, null as type, null::int as schema_version, state::text as data from snapshot
union all
select * from (
    select version, type, schema_version, data::text from amends.events
     where stream = %(stream)s and version > coalesce((select version from snapshot), 0) and version <= %(until)s
     order by version limit %(limit)s) as later
order by 1

-- name: fold
-- A stretch of a stream to go on folding.
select version, type, schema_version, data::text from amends.events
 where stream = %(stream)s and version > %(after)s and version <= %(until)s
 order by version limit %(limit)s

-- name: version_at
-- The highest version of a stream that was recorded by an instant.
select coalesce(max(version), 0) as version from amends.events where stream = %s and recorded_at <= %s

-- name: version_at_position
-- The highest version of a stream up to a position.
select coalesce(max(version), 0) as version from amends.events where stream = %s and position <= %s

-- name: version_at_place
-- The highest version of a stream up to a place in the feed.
select amends.version_at(%s, %s, %s::text::xid8, %s) as version

-- name: event_at
-- One event of a stream, without its data.
select generation, transaction_id::text::bigint as transaction_id, position, id as event, (select amends.as_of()) as run,
       recorded_at
  from amends.events where stream = %s and version = %s

-- name: open_saga
-- A saga that has written to a stream and is not finished.
select s.id from amends.sagas as s
 where s.status not in ('completed', 'compensated')
   and exists (select from amends.events as e where e.stream = %s and e.metadata ->> 'workflow_id' = s.id)
 limit 1

-- name: snapshot
-- Keep a state, unless a later one is kept.
insert into amends.snapshots as s (stream, code, version, state) values (%s, %s, %s, %s::jsonb)
on conflict (stream, code) do update
   set version = excluded.version, state = excluded.state, taken_at = clock_timestamp()
 where s.version < excluded.version

-- name: forget_snapshots
-- Drop states of this stream that other code has kept, and not used for a week.
delete from amends.snapshots where stream = %s and code <> %s and taken_at < clock_timestamp() - interval '7 days'
