-- name: append
-- Append what is ready, each item all of it or nothing. See the function's comment.
select item, outcome, stream, expected, actual, place, digest, answer from amends.append(%s::jsonb) where amends.durable()

-- name: lock
-- Lock streams until the end of the transaction, before its first write.
select amends.lock_streams(%s::text[])

-- name: known_in_part
-- How many of these events are there, and one of them: one that is another than the one that is there, if there is such.
select e.id::text, e.stream, count(*) over () as known,
       (e.stream, e.type, e.schema_version) is distinct from
       (n.value ->> 'stream', n.value ->> 'type', (n.value ->> 'schema_version')::int)
       or e.data is distinct from n.value -> 'data' as different
  from jsonb_array_elements(%s::jsonb) with ordinality as n (value, number)
  join amends.events as e on e.id = (n.value ->> 'id')::uuid
 order by different desc, n.number limit 1

-- name: stream
-- A stretch of one stream, oldest first.
select e.generation, e.transaction_id::text::bigint as transaction, e.position, e.id, e.stream, e.version, e.type,
       e.schema_version, e.data::text, e.metadata::text, e.recorded_at, (select amends.as_of()) as run
  from amends.events as e where stream = %(stream)s and version > %(after)s order by version limit %(limit)s

-- name: stream_after
-- A stretch of one stream after a place in the feed, oldest first: after the event that stands there, if it is one of
-- the stream, as the order of versions and that of the feed need not be the same; else after all that come before it.
select e.generation, e.transaction_id::text::bigint as transaction, e.position, e.id, e.stream, e.version, e.type,
       e.schema_version, e.data::text, e.metadata::text, e.recorded_at, (select amends.as_of()) as run
  from amends.events as e
 where e.stream = %(stream)s
   and e.version > coalesce(
       (select x.version from amends.events as x where x.position = %(position)s and x.stream = %(stream)s),
       amends.version_at(%(stream)s, %(generation)s, %(transaction_id)s::text::xid8, %(position)s))
   and (select amends.vouched(%(generation)s, %(transaction_id)s::text::xid8, %(position)s, %(event)s, %(run)s))
 order by e.version limit %(limit)s

-- name: stream_version
-- The version of a stream, 0 if it has no event.
select coalesce(max(version), 0) as version from amends.events where stream = %s

-- name: backwards
-- A stretch of one stream, newest first.
select e.generation, e.transaction_id::text::bigint as transaction, e.position, e.id, e.stream, e.version, e.type,
       e.schema_version, e.data::text, e.metadata::text, e.recorded_at, (select amends.as_of()) as run
  from amends.events as e where e.stream = %(stream)s and e.version < %(before)s order by version desc limit %(limit)s

-- name: place_of
-- Where in the feed an event stands.
select generation, transaction_id::text::bigint as transaction_id, position, id as event, (select amends.as_of()) as run
  from amends.events where position = %s

-- name: last_standing
-- Whether a place still stands, whether it is vouched for, and the last one before it that is.
select amends.stands(%(position)s, %(event)s) as stands,
       amends.vouched(%(generation)s, %(transaction_id)s::text::xid8, %(position)s, %(event)s, %(run)s) as vouched, e.generation, e.transaction_id::text::bigint as transaction_id,
       e.position, e.id as event, (select amends.as_of()) as run
  from (values (1)) as one
  left join amends.last_standing(%(generation)s, %(transaction_id)s::text::xid8, %(position)s, %(run)s) as e on true

-- name: first_gone
-- The number of the first of these places that does not stand any more.
select p.number from unnest(%s::bigint[], %s::uuid[]) with ordinality as p (position, event, number)
 where not amends.stands(p.position, p.event) order by p.number limit 1

-- name: given_out
-- Whether a place can be one of this database: no newer generation, and no transaction id that is still to come.
select (%(generation)s::int, %(transaction_id)s::numeric)
     < (max(g.generation), pg_snapshot_xmax(pg_current_snapshot())::text::numeric) as given_out
  from amends.generations as g

-- name: feed
-- A page of the feed. It stops below the oldest transaction that still runs: what that one writes comes first.
select e.generation, e.transaction_id::text::bigint as transaction, e.position, e.id, e.stream, e.version, e.type,
       e.schema_version, e.data::text, e.metadata::text, e.recorded_at, (select amends.as_of()) as run
  from amends.events as e
 where (generation, transaction_id, position) > (%(generation)s, %(transaction_id)s::text::xid8, %(position)s)
   and (transaction_id < pg_snapshot_xmin(pg_current_snapshot())
        or generation < (select max(g.generation) from amends.generations as g))
   and (select amends.vouched(%(generation)s, %(transaction_id)s::text::xid8, %(position)s, %(event)s, %(run)s))
 order by e.generation, e.transaction_id, e.position
 limit %(limit)s

-- name: feed_of_type
-- The same for one type of events. Within a generation and beyond it are asked for apart: three columns compared at once
-- are estimated at one row, and then another index than that of the type looks better.
with page as (
    (select e.generation, e.transaction_id, e.position, e.id, e.stream, e.version, e.type, e.schema_version, e.data, e.metadata,
           e.recorded_at
       from amends.events as e
      where e.type = %(type)s
        and e.generation = %(generation)s and (e.transaction_id, e.position) > (%(transaction_id)s::text::xid8, %(position)s)
        and (e.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
            or e.generation < (select max(g.generation) from amends.generations as g))
      order by e.generation, e.transaction_id, e.position limit %(limit)s)
    union all
    (select e.generation, e.transaction_id, e.position, e.id, e.stream, e.version, e.type, e.schema_version, e.data, e.metadata,
           e.recorded_at
       from amends.events as e
      where e.type = %(type)s
        and e.generation > %(generation)s
        and (e.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
            or e.generation < (select max(g.generation) from amends.generations as g))
      order by e.generation, e.transaction_id, e.position limit %(limit)s)
)
select e.generation, e.transaction_id::text::bigint as transaction, e.position, e.id, e.stream, e.version, e.type,
       e.schema_version, e.data::text, e.metadata::text, e.recorded_at, (select amends.as_of()) as run
  from page as e
 where (select amends.vouched(%(generation)s, %(transaction_id)s::text::xid8, %(position)s, %(event)s, %(run)s))
 order by e.generation, e.transaction_id, e.position
 limit %(limit)s

-- name: feed_of_stream
-- The same for one stream, and one type of events if it is given; a stream's order is that of its versions.
select e.generation, e.transaction_id::text::bigint as transaction, e.position, e.id, e.stream, e.version, e.type,
       e.schema_version, e.data::text, e.metadata::text, e.recorded_at, (select amends.as_of()) as run
  from amends.events as e
 where e.stream = %(stream)s and (%(type)s::text is null or e.type = %(type)s)
   and e.version > (select amends.version_at(%(stream)s, %(generation)s, %(transaction_id)s::text::xid8, %(position)s))
   and (e.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
        or e.generation < (select max(g.generation) from amends.generations as g))
   and (select amends.vouched(%(generation)s, %(transaction_id)s::text::xid8, %(position)s, %(event)s, %(run)s))
 order by e.version
 limit %(limit)s

-- name: feed_of_correlation
-- The same for one story, and one type or stream of it if it is given.
with page as (
    (select e.generation, e.transaction_id, e.position, e.id, e.stream, e.version, e.type, e.schema_version, e.data, e.metadata,
           e.recorded_at
       from amends.events as e
      where e.metadata ->> 'correlation_id' = %(correlation_id)s
        and (%(type)s::text is null or e.type = %(type)s) and (%(stream)s::text is null or e.stream = %(stream)s)
        and e.generation = %(generation)s and (e.transaction_id, e.position) > (%(transaction_id)s::text::xid8, %(position)s)
        and (e.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
            or e.generation < (select max(g.generation) from amends.generations as g))
      order by e.generation, e.transaction_id, e.position limit %(limit)s)
    union all
    (select e.generation, e.transaction_id, e.position, e.id, e.stream, e.version, e.type, e.schema_version, e.data, e.metadata,
           e.recorded_at
       from amends.events as e
      where e.metadata ->> 'correlation_id' = %(correlation_id)s
        and (%(type)s::text is null or e.type = %(type)s) and (%(stream)s::text is null or e.stream = %(stream)s)
        and e.generation > %(generation)s
        and (e.transaction_id < pg_snapshot_xmin(pg_current_snapshot())
            or e.generation < (select max(g.generation) from amends.generations as g))
      order by e.generation, e.transaction_id, e.position limit %(limit)s)
)
select e.generation, e.transaction_id::text::bigint as transaction, e.position, e.id, e.stream, e.version, e.type,
       e.schema_version, e.data::text, e.metadata::text, e.recorded_at, (select amends.as_of()) as run
  from page as e
 where (select amends.vouched(%(generation)s, %(transaction_id)s::text::xid8, %(position)s, %(event)s, %(run)s))
 order by e.generation, e.transaction_id, e.position
 limit %(limit)s

-- name: version_at
-- The highest version of a stream that was recorded by an instant.
select coalesce(max(version), 0) as version from amends.events where stream = %s and recorded_at <= %s

-- name: version_at_position
-- The highest version of a stream up to a position.
select coalesce(max(version), 0) as version from amends.events where stream = %s and position <= %s

-- name: version_at_place
-- The highest version of a stream up to a place in the feed.
select amends.version_at(%s, %s, %s::text::xid8, %s) as version

-- name: open_saga
-- A saga that has written to a stream and is not finished.
select s.id from amends.sagas as s
 where s.status not in ('completed', 'compensated')
   and exists (select from amends.events as e where e.stream = %s and e.metadata ->> 'workflow_id' = s.id)
 limit 1
