-- name: uses
-- What needs the code of each version: sagas that are not finished, those that were terminated and that an operator may take
-- up, children that were completed and that a parent which is not finished may have compensated, and forks that DBOS's tools
-- made and that nobody has run yet.
with recursive open as materialized (
    select id, name, version, status from amends.sagas where status = any (%(open)s)
), family (id) as (
    select id from open
    union
    select s.id from family as f join amends.sagas as s on s.parent = f.id
), uses as (
    select name, version, 'unfinished' as what from open where status <> 'abandoned'
    union all
    select name, version, 'abandoned' from open where status = 'abandoned'
    union all
    select s.name, s.version, 'children' from family as f join amends.sagas as s on s.id = f.id where s.status = 'completed'
    union all
    select o.name, o.version, 'forks' from dbos.workflow_status as w join amends.sagas as o on o.id = w.forked_from
     where w.forked_from is not null and w.status in ('ENQUEUED', 'PENDING')
       and not exists (select from amends.sagas as s where s.id = w.workflow_uuid)
)
select name, version, what, count(*) as count from uses group by name, version, what

-- name: executors
-- The types of sagas that each living executor has code for.
select kinds from amends.executors where ended_at is null
