-- name: stream
-- A stretch of one stream, oldest first.
select position, id, stream, version, type, schema_version, data, metadata, recorded_at, transaction_id, generation
  from amends.events where stream = %(stream)s and position > %(after)s order by version limit %(limit)s

-- name: stream_version
-- The version of a stream, 0 if it has no event.
select coalesce(max(version), 0) as version from amends.events where stream = %s

-- name: fold
-- What is needed to fold a stream.
select version, type, schema_version, data from amends.events where stream = %s order by version

-- name: place_of
-- Where in the feed an event stands.
select generation, transaction_id, position from amends.events where position = %s

-- name: last_of_stream
-- Where in the feed a stream's newest event stands.
select generation, transaction_id, position from amends.events where stream = %s order by version desc limit 1

-- name: feed
-- A page of the feed. It stops below the oldest transaction that still runs: what that one writes comes first.
select position, id, stream, version, type, schema_version, data, metadata, recorded_at, transaction_id, generation
  from amends.events as e
 where (generation, transaction_id, position) > (%(generation)s, %(transaction_id)s::text::xid8, %(position)s)
   and transaction_id < pg_snapshot_xmin(pg_current_snapshot())
   and (%(type)s::text is null or type = %(type)s)
   and (%(stream)s::text is null or stream = %(stream)s)
   and (%(correlation_id)s::text is null or metadata ->> 'correlation_id' = %(correlation_id)s)
 order by generation, e.transaction_id, position
 limit %(limit)s
