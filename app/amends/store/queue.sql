-- name: queued_starts
-- Starts that no server has begun, and that no brake holds, by type and caller: the oldest ones, as many as are counted.
select s.name, s.version, coalesce(s.actor, '') as actor, count(*)::int as count, min(s.started_at) as since,
       greatest(extract(epoch from clock_timestamp() - min(s.started_at)), 0)::double precision as seconds
  from (select x.name, x.version, x.actor, x.started_at from amends.sagas as x
         where x.status = 'queued' and x.brake is null order by x.started_at limit %(limit)s) as s
 group by s.name, s.version, s.actor
 order by min(s.started_at), s.name, s.version, s.actor

-- name: queue_depth
-- How many sagas stand in the queue, as far as they are counted: those starts, and whatever was woken or taken over.
select count(*)::int as count
  from (select from dbos.workflow_status as w where w.queue_name = 'amends' and w.status = 'ENQUEUED' limit %(limit)s) as w

-- name: waiting
-- How many sagas wait, by reason, as far as they are counted. A child that is waited for stands as `child ID`, one whose
-- compensation is as `undone ID`; whatever else is no timer is the name of a signal.
select r.reason, sum(n.count)::int as count
  from (values ('signal', '', 'child '), ('child', 'child ', 'child!'), ('signal', 'child!', 'timer'),
               ('timer', 'timer', 'timer' || chr(1)), ('signal', 'timer' || chr(1), 'undone '),
               ('child', 'undone ', 'undone!'), ('signal', 'undone!', chr(1114111))) as r (reason, first, until)
 cross join lateral (
     select count(*) as count
       from (select from amends.sagas as s
              where s.waiting_for is not null and s.status in ('waiting', 'compensating')
                and s.waiting_for collate "C" >= r.first collate "C" and s.waiting_for collate "C" < r.until collate "C"
              limit %(limit)s) as s) as n
 group by r.reason
union all
select 'provider', count(*)::int
  from (select from amends.sagas as s
         where s.provider is not null and s.status in ('running', 'compensating') limit %(limit)s) as s
union all
select 'brake', count(*)::int from (select from amends.sagas as s where s.brake is not null limit %(limit)s) as s
