-- name: page
-- A stretch of the feed: the events of these types, in the feed's order, and at its end a row without a stream that says how
-- far the stretch goes, how many events it has, those of other types included, which types of the build are none of
-- these, and in which run of the server it was read. It stops below the oldest transaction that still runs.
with stretch as materialized (
    select e.generation, e.transaction_id, e.position, e.stream, e.version, e.type, e.schema_version, e.data, e.recorded_at
      from amends.events as e
     where (generation, transaction_id, position) > (%(generation)s, %(transaction_id)s::text::xid8, %(position)s)
       and (transaction_id < pg_snapshot_xmin(pg_current_snapshot())
            or generation < (select max(g.generation) from amends.generations as g))
     order by e.generation, e.transaction_id, e.position
     limit %(limit)s
), last as (
    select s.generation, s.transaction_id, s.position from stretch as s
     order by s.generation desc, s.transaction_id desc, s.position desc limit 1
)
select p.generation, p.transaction_id::text::bigint, p.position, p.stream, p.version, p.type, p.schema_version,
       p.data::text, p.recorded_at
  from (select * from stretch where type = any (%(types)s::text[])
        union all
        select generation, transaction_id, position, null, (select count(*) from stretch)::int,
               (select string_agg(t.type, ', ' order by t.type) from amends.builds as b, unnest(b.types) as t (type)
                 where b.name = %(name)s and b.build = %(build)s and t.type <> all (%(types)s::text[])), null,
               (select to_jsonb(coalesce(max(r.id), 0)) from amends.runs as r), null
          from last) as p
 order by p.generation, p.transaction_id, p.position, p.stream nulls last

-- name: builds
-- All builds, with what their runners are doing, and the run of the server in which this was read.
select (select coalesce(max(r.id), 0) from amends.runs as r) as run, b.name, b.build, b.version, b.state, b.types, b.generation, b.transaction_id, b.position, b.events, b.expected,
       b.runner, b.failure, b.started_at, b.moved_at, b.caught_up_at,
       b.promoted_at,
       b.runner is null or b.lease_until < clock_timestamp() or exists (
           select from amends.executors as x
            where x.id = split_part(b.runner, '/', 1) and x.ended_at is not null) as free,
       (select count(*) from amends.set_aside as s where s.name = b.name and s.build = b.build) as set_aside,
       exists (select from amends.set_aside as s
                where s.name = b.name and s.build = b.build and s.wish is not null) as action_requested,
       (select count(*) from amends.skipped as s where s.name = b.name) as skipped
  from amends.builds as b
 where %(name)s::text is null or b.name = %(name)s
 order by b.name, b.build

-- name: lag
-- How many events of a type a build still has to take, up to a limit, and when the first of them was recorded.
select count(*) as events, min(e.recorded_at) as first, clock_timestamp() as now
  from ((select x.recorded_at from amends.events as x
          where x.type = %(type)s and x.generation = %(generation)s
            and (x.transaction_id, x.position) > (%(transaction_id)s::text::xid8, %(position)s)
          order by x.generation, x.transaction_id, x.position limit %(limit)s)
        union all
        (select x.recorded_at from amends.events as x
          where x.type = %(type)s and x.generation > %(generation)s
          order by x.generation, x.transaction_id, x.position limit %(limit)s)) as e

-- name: reads
-- Note the names of the events that a version of a read model reads: a renamed event has two. None is taken back.
update amends.builds as b
   set types = array(select distinct t.type from unnest(b.types || %(types)s::text[]) as t (type) order by t.type)
 where b.name = %(name)s and b.version = %(version)s and not b.types @> %(types)s::text[]

-- name: renamed
-- The same for all versions of a read model that read an event by one of its names.
update amends.builds as b
   set types = array(select distinct t.type from unnest(b.types || %(types)s::text[]) as t (type) order by t.type)
 where b.name = %(name)s and b.types && %(types)s::text[] and not b.types @> %(types)s::text[]

-- name: open_build
-- Make the table of a new build; see the function's comment.
select amends.open_build(%(name)s, %(version)s, %(key)s, %(columns)s::jsonb, %(indexes)s::jsonb, %(types)s::text[],
                         %(inline)s, %(first)s) as build

-- name: obstacle
-- Whether something has the name of the view of a read model.
select to_regclass(format('views.%%I', %s::text)) is not null

-- name: count
-- How many events of a type come after a place, up to a limit, and the place of the last of them.
with slice as materialized (
    select * from (
        (select e.generation, e.transaction_id, e.position from amends.events as e
          where e.type = %(type)s and e.generation = %(generation)s
            and (e.transaction_id, e.position) > (%(transaction_id)s::text::xid8, %(position)s)
          order by e.generation, e.transaction_id, e.position limit %(limit)s)
        union all
        (select e.generation, e.transaction_id, e.position from amends.events as e
          where e.type = %(type)s and e.generation > %(generation)s
          order by e.generation, e.transaction_id, e.position limit %(limit)s)) as later
     order by generation, transaction_id, position
     limit %(limit)s
)
select n.found, l.generation, l.transaction_id::text::bigint, l.position
  from (select count(*) as found from slice) as n
  left join (select * from slice as s order by s.generation desc, s.transaction_id desc, s.position desc limit 1) as l on true

-- name: expect
-- Note how many events a build will take, as far as one can say when it begins.
update amends.builds set expected = %(expected)s where name = %(name)s and build = %(build)s

-- name: promote
-- Switch to another build; see the function's comment.
select amends.promote_build(%(name)s, %(build)s, %(less)s) as outcome

-- name: shown_less
-- The keys that a build shows less of than the live one.
select amends.shown_less(b.name, %(build)s, b.build) as key
  from amends.builds as b where b.name = %(name)s and b.state = 'live'

-- name: drop_model
-- Drop a read model whose code is gone; see the function's comment.
select amends.drop_model(%(name)s) as outcome

-- name: drop
-- Drop a build that is not live; see the function's comment.
select amends.drop_build(%(name)s, %(build)s) as outcome

-- name: take
-- Take the lease of a build, if it is free.
select amends.take_build(%s, %s, %s, %s) as taken

-- name: give_back
-- Give the lease of a build back.
update amends.builds set runner = null, lease_until = null where name = %s and build = %s and runner = %s

-- name: write
-- One commit of a runner; see the function's comment. Null in another run of the server than the one in which the runner
-- read what it folded: some of it may be gone, also where the checkpoint stands.
select case when %(run)s = (select coalesce(max(r.id), 0) from amends.runs as r) then
           amends.write_build(%(name)s, %(build)s, %(runner)s, %(lease)s, %(from)s::bigint[], %(to)s::bigint[], %(events)s,
                              %(rows)s::json, %(gone)s::text[], %(cleared)s, %(granted)s, %(aside)s::jsonb,
                              %(caught_up)s, %(skipped)s::jsonb)
       end

-- name: failed
-- Note why a build cannot be followed here, unless somebody else follows it.
update amends.builds as b set failure = %(failure)s
 where b.name = %(name)s and b.build = %(build)s and b.failure is distinct from %(failure)s
   and (b.runner is null or b.runner = %(runner)s or b.lease_until < clock_timestamp()
        or exists (select from amends.executors as x
                    where x.id = split_part(b.runner, '/', 1) and x.ended_at is not null))

-- name: restore_view
-- Make a view that is missing; see the function's comment.
select amends.restore_view(%s)

-- name: shape
-- The table of a build as it is: its columns, its indexes of plain columns, which rights on it are lacking, the columns that
-- it was made with, and whether it is live and its view is missing.
select t.oid is not null as there,
       (select coalesce(json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, null),
                                                   'nullable', not a.attnotnull,
                                                   'given', a.atthasdef or a.attidentity <> '') order by a.attnum), '[]')
          from pg_attribute as a where a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped)::text as columns,
       (select coalesce(json_agg(json_build_object('unique', i.indisunique and i.indimmediate, 'columns',
                   (select json_agg(a.attname order by k.n)
                      from unnest(i.indkey::int2[]) with ordinality as k (attnum, n)
                      join pg_attribute as a on a.attrelid = t.oid and a.attnum = k.attnum
                     where k.n <= i.indnkeyatts))), '[]')
          from pg_index as i
         where i.indrelid = t.oid and i.indisvalid and i.indpred is null and i.indexprs is null)::text as indexes,
       array(select r from unnest(array['select', 'insert', 'update', 'delete']) as r
              where t.oid is not null and not has_table_privilege(t.oid, r)) as lacking,
       (select b.columns::text from amends.builds as b where b.name = %(name)s and b.build = %(build)s) as made,
       exists (select from amends.builds as b where b.name = %(name)s and b.build = %(build)s and b.state = 'live')
           and to_regclass(format('views.%%I', %(name)s::text)) is null as hidden
  from (select to_regclass(format('views.%%I', amends.build_table(%(name)s, %(build)s)))::oid as oid) as t

-- name: get_rows
-- Rows of a build by their keys.
select amends.get_rows(%s, %s, %s::text[])::text

-- name: aside_keys
-- The keys of a build that are set aside.
select key from amends.set_aside where name = %s and build = %s

-- name: skipped_positions
-- The events that a read model leaves out.
select position from amends.skipped where name = %s

-- name: skipped
-- What a person let a read model leave out, the newest first: who, why, and which event.
select s.key, s.build, s.at, e.id as event_id, e.type, e.stream, e.version, e.position,
       t.data ->> 'reason' as reason, t.metadata ->> 'actor' as actor
  from amends.skipped as s
  join amends.events as e on e.position = s.position
  left join lateral (
      select x.data, x.metadata from amends.events as x
       where x.stream = 'projection-' || s.name and x.type = 'set-aside-skipped' and x.data ->> 'event_id' = e.id::text
       order by x.version desc limit 1) as t on true
 where s.name = %(name)s
 order by s.at desc, s.position desc limit %(limit)s

-- name: requested_actions
-- The actions that operators have requested for keys that are set aside.
select key, wish from amends.set_aside where name = %s and build = %s and wish is not null
 order by since, key collate "C" limit 100

-- name: aside_events
-- The events of one key that are set aside, in the order in which they would have been applied.
select e.generation, e.transaction_id::text::bigint, e.position, e.stream, e.version, e.type, e.schema_version,
       e.data::text, e.recorded_at
  from amends.set_aside_events as a join amends.events as e on e.position = a.position
 where a.name = %s and a.build = %s and a.digest = amends.key_digest(%s)
 order by e.generation, e.transaction_id, e.position

-- name: set_aside
-- What is set aside, with the event that could not be applied and how many wait behind it.
select s.name, s.build, s.key, s.error, s.since, s.wish as requested_action, e.id as event_id, e.type, e.stream, e.version,
       e.position, w.count - 1 as waiting
  from amends.builds as b
 cross join lateral (select x.* from amends.set_aside as x
                      where x.name = b.name and x.build = b.build
                        and (%(key)s::text is null or x.digest = amends.key_digest(%(key)s))
                      order by x.since limit %(limit)s) as s
 cross join lateral (select count(*) from amends.set_aside_events as a
                      where a.name = s.name and a.build = s.build and a.digest = s.digest) as w
 cross join lateral (select x.* from amends.set_aside_events as a join amends.events as x on x.position = a.position
                      where a.name = s.name and a.build = s.build and a.digest = s.digest
                      order by x.generation, x.transaction_id, x.position limit 1) as e
 where %(name)s::text is null or b.name = %(name)s
 order by s.name, s.build, s.since

-- name: request_action
-- Note the action that an operator requests for a key, in all builds of a read model.
update amends.set_aside set wish = %(action)s where name = %(name)s and digest = amends.key_digest(%(key)s) returning build

-- name: reached
-- To which of these places the live build of a read model has got: nothing that it reads lies before and is not in it.
-- And which do not stand any more, so that nothing will get to them.
with places as (
    select p.*, amends.stands(p.position, p.event) as stands
      from unnest(%s::int[], %s::bigint[], %s::bigint[], %s::uuid[])
           with ordinality as p (generation, transaction_id, position, event, number)
)
select p.number, p.stands
  from places as p left join amends.builds as b on b.name = %s and b.state = 'live'
 where not p.stands
    or b.build is not null and amends.nothing_between(b.types, b.generation, b.transaction_id, b.position,
                              p.generation, p.transaction_id, p.position)

-- name: rows
-- Rows of the live build of a read model.
select amends.view_rows(%(name)s, %(where)s::jsonb, %(after)s, %(limit)s)::text as rows

-- name: places
-- How far two builds have got, in the snapshot of this transaction.
select build, generation, transaction_id, position from amends.builds where name = %s and build = any (%s::int[])

-- name: compare
-- Compare a page of two builds row by row; see the function's comment.
select amends.compare_builds(%s, %s, %s, %s, %s, %s)::text

-- name: builds_of
-- All tables of one version of a read model.
select build from amends.builds where name = %s and version = %s order by build

-- name: key
-- Whether a key is set aside in a build, which events are left out, and how long a statement may take otherwise. What comes
-- after it in this transaction does not wait for long, and does not take long.
select exists (select from amends.set_aside where name = %(name)s and build = %(build)s and digest = k.digest),
       array(select position from amends.skipped where name = %(name)s),
       current_setting('statement_timeout'),
       set_config('lock_timeout', %(patience)s, true), set_config('statement_timeout', %(limit)s, true)
  from amends.key_digest(%(key)s) as k (digest)

-- name: unlimit
-- Let a statement take as long as before.
select set_config('statement_timeout', %s, true)

-- name: later
-- The events of one stream after a version that a read model reads.
select e.generation, e.transaction_id::text::bigint, e.position, e.stream, e.version, e.type, e.schema_version,
       e.data::text, e.recorded_at
  from amends.events as e where e.stream = %s and e.version > %s and e.type = any (%s::text[]) order by e.version

-- name: put_rows
-- Take keys out of a table, and put rows into it.
select amends.put_rows(%s, %s, %s::json, %s::text[])

-- name: events_at
-- The events at these positions, in the order of the feed.
select e.generation, e.transaction_id::text::bigint, e.position, e.stream, e.version, e.type, e.schema_version,
       e.data::text, e.recorded_at
  from amends.events as e where e.position = any (%s::bigint[])
 order by e.generation, e.transaction_id, e.position
