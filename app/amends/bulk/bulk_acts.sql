-- name: chosen
-- The sagas that a bulk act would be fixed to, as far as they are counted, and the first of them: those that stand as they
-- do for longest.
with found as (
    select id, since from amends.sagas where {conditions} limit %(limit)s
)
select (select count(*)::int from found) as count,
       (select coalesce(array_agg(f.id order by f.since, f.id), '{{}}')
          from (select id, since from found order by since, id limit %(first)s) as f) as first

-- name: begin
-- Begin a bulk act with the sagas that match now, unless they are more than are expected; the same again changes nothing.
-- count: how many match; begun: whether it stands.
with found as materialized (
    select id, since from amends.sagas where {conditions} limit %(limit)s
), counted as (
    select count(*)::int as count from found
), before as (
    select id, total from amends.bulk_acts where id = %(id)s
), begun as (
    insert into amends.bulk_acts (id, act, filter, asked, actor, status, total, notes, finished_at)
    select %(id)s, %(act)s, %(filter)s::jsonb, %(asked)s::jsonb, %(by)s,
           case when c.count = 0 then 'completed' else 'running' end, c.count,
           jsonb_build_array(%(note)s::jsonb || jsonb_build_object('at', clock_timestamp())),
           case when c.count = 0 then clock_timestamp() end
      from counted as c
     where c.count <= %(most)s and not exists (select from before)
    returning id
), items as (
    insert into amends.bulk_items (bulk, number, saga, since)
    select b.id, row_number() over (order by f.since, f.id), f.id, f.since from begun as b cross join found as f
), kept as (
    insert into amends.requests (key, digest, answer)
    select a.answer ->> 'key', a.answer ->> 'digest', (a.answer -> 'body') || jsonb_build_object('total', c.count)
      from begun cross join counted as c cross join (select %(answer)s::jsonb as answer) as a
     where a.answer is not null
)
select coalesce((select total from before), c.count) as count,
       exists (select from before) or exists (select from begun) as begun
  from counted as c
 where amends.durable()

-- name: one
-- A bulk act.
select id, act, filter, asked, actor, status, total, done, failed, moved_on, runner, notes, started_at, finished_at
  from amends.bulk_acts where id = %(id)s

-- name: all
-- A page of bulk acts, newest first.
select id, act, filter, asked, actor, status, total, done, failed, moved_on, runner, notes, started_at, finished_at
  from amends.bulk_acts
 where %(before_at)s::timestamptz is null or (started_at, id) < (%(before_at)s::timestamptz, %(before_id)s)
 order by started_at desc, id desc limit %(limit)s

-- name: failures
-- What failed in a bulk act, by its error, the most frequent first.
select i.error, count(*)::int as count, (array_agg(i.saga order by i.number))[1:%(examples)s] as examples
  from amends.bulk_items as i
 where i.bulk = %(id)s and i.outcome = 'failed'
 group by i.error order by count desc, i.error limit %(limit)s

-- name: steer
-- Pause, resume or cancel a bulk act.
select outcome, status, digest, answer
  from amends.steer_bulk(%(id)s, %(from)s::text[], %(to)s, %(note)s::jsonb, %(answer)s::jsonb)
 where amends.durable()

-- name: take
-- Take the bulk act whose turn it is, for an executor that lives: it is nobody's, it is this one's, its lease is over, or its
-- executor was ended.
update amends.bulk_acts as b
   set runner = %(runner)s, lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
 where b.id = (select a.id from amends.bulk_acts as a
                where a.status = 'running'
                  and (a.runner is null or a.runner = %(runner)s or a.lease_until < clock_timestamp()
                       or exists (select from amends.executors as x where x.id = a.runner and x.ended_at is not null))
                order by a.moved_at, a.id limit 1 for no key update skip locked)
   and exists (select from amends.executors as x where x.id = %(runner)s and x.ended_at is null)
returning b.id, b.act, b.filter, b.asked, b.actor

-- name: give_back
-- Give back what an executor has taken.
update amends.bulk_acts set runner = null, lease_until = null where runner = %(runner)s and status = 'running'

-- name: batch
-- The next sagas of a bulk act: whether it was done already, whether the saga still matches, since when it stands as it
-- does, and at what it got stuck last, all of the same moment.
select i.number, i.saga, r.key is not null as answered, s.name, s.version, coalesce(s.since = i.since, false) as unchanged,
       k.version as stuck_at
  from (select x.bulk, x.number, x.saga, x.since from amends.bulk_items as x
         where x.bulk = %(id)s and x.outcome is null order by x.number limit %(limit)s) as i
  left join amends.requests as r on r.key = 'bulk ' || i.bulk || ' ' || i.number
  left join lateral (select z.name, z.version, z.since from amends.sagas as z where z.id = i.saga and {conditions}) as s on true
  left join lateral (select e.version from amends.events as e
                      where e.stream = 'saga-' || i.saga and e.type = 'saga-stuck' order by e.version desc limit 1) as k on true
 order by i.number

-- name: record
-- Record what came of a batch, if the bulk act is still this executor's, and renew its lease; returns its status.
with mine as (
    select b.id from amends.bulk_acts as b where b.id = %(id)s and b.runner = %(runner)s for no key update
), noted as (
    update amends.bulk_items as i set outcome = o.outcome, error = o.error
      from jsonb_to_recordset(%(outcomes)s::jsonb) as o (number int, outcome text, error text), mine
     where i.bulk = mine.id and i.number = o.number and i.outcome is null
    returning i.outcome
), counted as (
    select count(*) filter (where outcome = 'done')::int as done, count(*) filter (where outcome = 'failed')::int as failed,
           count(*) filter (where outcome = 'moved-on')::int as moved_on from noted
)
update amends.bulk_acts as b
   set done = b.done + c.done, failed = b.failed + c.failed, moved_on = b.moved_on + c.moved_on,
       moved_at = clock_timestamp(), lease_until = clock_timestamp() + make_interval(secs => %(lease)s),
       status = case when b.status in ('running', 'paused')
                      and b.done + b.failed + b.moved_on + c.done + c.failed + c.moved_on >= b.total
                     then 'completed' else b.status end,
       finished_at = case when b.status in ('running', 'paused')
                           and b.done + b.failed + b.moved_on + c.done + c.failed + c.moved_on >= b.total
                          then clock_timestamp() else b.finished_at end
  from counted as c, mine
 where b.id = mine.id
returning b.status

-- name: under_way
-- How many of the sagas that a bulk act was done to last are still on their way: they are queued, or somebody runs them.
select count(*)::int as count
  from amends.bulk_items as i join amends.sagas as s on s.id = i.saga
 where i.bulk = %(id)s and i.number between %(last)s - %(looked_at)s and %(last)s and i.outcome = 'done'
   and s.status in ('queued', 'running', 'compensating') and s.provider is null and s.waiting_for is null

-- name: answered
-- Whether there is an answer under a key.
select from amends.requests where key = %s
