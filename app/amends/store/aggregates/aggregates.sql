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

-- name: snapshot
-- Keep a state, unless a later one is kept.
insert into amends.snapshots as s (stream, code, version, state) values (%s, %s, %s, %s::jsonb)
on conflict (stream, code) do update
   set version = excluded.version, state = excluded.state, taken_at = clock_timestamp()
 where s.version < excluded.version

-- name: forget_snapshots
-- Drop states of this stream that other code has kept, and not used for a week.
delete from amends.snapshots where stream = %s and code <> %s and taken_at < clock_timestamp() - interval '7 days'
