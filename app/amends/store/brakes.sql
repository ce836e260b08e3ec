-- name: set_brake
-- Set a brake.
select outcome, place, digest, answer from amends.set_brake(%s::jsonb, %s::jsonb, %s::jsonb) where amends.durable()

-- name: lift_brake
-- Lift a brake.
select amends.lift_brake(%s, %s, %s, %s::jsonb) where amends.durable()

-- name: in_force
-- The brakes in force, oldest first, and how many sagas wait at each, as far as they are counted.
select to_jsonb(b) as brake,
       (select count(*)::int from (select from amends.sagas as s where s.brake = b.id limit %s) as w) as waiting
  from amends.brakes as b where b.lifted_at is null order by b.set_at, b.id

-- name: knows_sagas
-- Whether there are sagas of a name and a version, or executors that have code for such.
select exists (select from amends.sagas as s where (%(name)s::text is null or s.name = %(name)s)
                  and (%(version)s::int is null or s.version = %(version)s))
    or exists (select from amends.executors as x cross join unnest(x.kinds) as k (kind)
                where x.ended_at is null
                  and (%(name)s::text is null or split_part(k.kind, ':', 1) = %(name)s)
                  and (%(version)s::int is null or split_part(k.kind, ':', 2) = %(version)s::text)) as known

-- name: one
-- By whom, why and when a brake was lifted.
select b.lifted_at, b.lifted_by, b.lifted_reason from amends.brakes as b where b.id = %s
