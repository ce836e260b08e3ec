-- name: matching
-- The causes of which this is said: those that a list of sagas is narrowed to.
select id from amends.causes
 where (%(cause)s::text is null or id = %(cause)s)
   and (%(step)s::text is null or step = %(step)s)
   and (%(error)s::text is null or position(%(error)s in lower(error)) > 0)
   and (%(name)s::text is null or name = %(name)s)
   and (%(version)s::int is null or version = %(version)s)

-- name: suspended
-- What needs a person, by cause: how many, up to a limit, since when, and the first of them. The causes are found by an index
-- that holds what is suspended alone, each with one look.
with recursive present as (
    (select s.cause from amends.sagas as s
      where s.status in ('stuck', 'stranded', 'abandoned') and s.cause is not null order by s.cause limit 1)
    union all
    select (select s.cause from amends.sagas as s
             where s.status in ('stuck', 'stranded', 'abandoned') and s.cause > p.cause order by s.cause limit 1)
      from present as p where p.cause is not null
)
select c.kind, c.name, c.version, c.step, c.provider, c.error, n.count, n.since, e.examples, e.compensating
  from present as p join amends.causes as c on c.id = p.cause
 cross join lateral (
     select count(*)::int as count, min(s.since) as since
       from (select x.since from amends.sagas as x
              where x.status in ('stuck', 'stranded', 'abandoned') and x.cause = c.id order by x.since limit %(limit)s) as s) as n
 cross join lateral (
     select array_agg(s.id order by s.since, s.id) as examples, bool_and(s.compensation_cause is not null) as compensating
       from (select x.id, x.since, x.compensation_cause from amends.sagas as x
              where x.status in ('stuck', 'stranded', 'abandoned') and x.cause = c.id
              order by x.since, x.id limit %(examples)s) as s) as e
 where n.count > 0

-- name: awaiting
-- The same of what has waited for a provider for so many seconds.
with recursive present as (
    (select s.cause from amends.sagas as s
      where s.provider is not null and s.status in ('running', 'compensating') and s.cause is not null
      order by s.cause limit 1)
    union all
    select (select s.cause from amends.sagas as s
             where s.provider is not null and s.status in ('running', 'compensating') and s.cause > p.cause
             order by s.cause limit 1)
      from present as p where p.cause is not null
)
select c.kind, c.name, c.version, c.step, c.provider, c.error, n.count, n.since, e.examples, e.compensating
  from present as p join amends.causes as c on c.id = p.cause
 cross join (select clock_timestamp() - make_interval(secs => %(seconds)s) as until) as w
 cross join lateral (
     select count(*)::int as count, min(s.provider_since) as since
       from (select x.provider_since from amends.sagas as x
              where x.provider is not null and x.status in ('running', 'compensating') and x.cause = c.id
                and x.provider_since <= w.until order by x.provider_since limit %(limit)s) as s) as n
 cross join lateral (
     select array_agg(s.id order by s.provider_since, s.id) as examples,
            bool_and(s.compensation_cause is not null) as compensating
       from (select x.id, x.provider_since, x.compensation_cause from amends.sagas as x
              where x.provider is not null and x.status in ('running', 'compensating') and x.cause = c.id
                and x.provider_since <= w.until order by x.provider_since, x.id limit %(examples)s) as s) as e
 where n.count > 0

-- name: held
-- The same of what has waited at a brake for so many seconds.
with recursive present as (
    (select s.cause from amends.sagas as s where s.brake is not null and s.cause is not null order by s.cause limit 1)
    union all
    select (select s.cause from amends.sagas as s where s.brake is not null and s.cause > p.cause order by s.cause limit 1)
      from present as p where p.cause is not null
)
select c.kind, c.name, c.version, c.step, c.provider, c.error, n.count, n.since, e.examples, e.compensating
  from present as p join amends.causes as c on c.id = p.cause
 cross join (select clock_timestamp() - make_interval(secs => %(seconds)s) as until) as w
 cross join lateral (
     select count(*)::int as count, min(s.brake_since) as since
       from (select x.brake_since from amends.sagas as x
              where x.brake is not null and x.cause = c.id and x.brake_since <= w.until
              order by x.brake_since limit %(limit)s) as s) as n
 cross join lateral (
     select array_agg(s.id order by s.brake_since, s.id) as examples,
            bool_and(s.compensation_cause is not null) as compensating
       from (select x.id, x.brake_since, x.compensation_cause from amends.sagas as x
              where x.brake is not null and x.cause = c.id and x.brake_since <= w.until
              order by x.brake_since, x.id limit %(examples)s) as s) as e
 where n.count > 0

-- name: dead_letters
-- The keys that are set aside, those of each read model that are so for longest.
select b.name, b.version, s.key, s.error, s.since
  from amends.builds as b
 cross join lateral (select x.key, x.error, x.since from amends.set_aside as x
                      where x.name = b.name and x.build = b.build order by x.since limit %(letters)s) as s
 order by s.since, s.key collate "C"
