-- name: readable
-- The tables of a schema, and whether this session may read each.
select c.relname as name,
       has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select') as readable
  from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
 where n.nspname = 'amends' and c.relkind in ('r', 'p', 'v')

-- name: may_serve
-- Whether this login may take the role of the service.
select exists (select from pg_roles as r
                where r.rolname = 'amends_service'
                  and pg_has_role(r.oid, case when current_setting('server_version_num')::int >= 160000
                                              then 'set' else 'member' end)) as may_serve

-- name: revision
-- The newest of our migrations that was applied.
select version_num as revision from amends.alembic_version

-- name: oldest_servers
-- Which servers the newest migrations of a newer version let run.
select revision, oldest from amends.schema_state

-- name: executors
-- Who runs sagas, and whose heartbeat is overdue.
select id, lease_until < clock_timestamp() as late from amends.executors where ended_at is null order by id

-- name: sagas
-- How many sagas there are in each status in which something is still to happen, and about how many there are at all.
select each as status, found.count, each in ('stuck', 'stranded', 'abandoned') as needs_somebody,
       (select greatest(c.reltuples, 0)::bigint from pg_class as c where c.oid = 'amends.sagas'::regclass) as about
  from unnest(array['queued', 'running', 'waiting', 'compensating', 'stuck', 'stranded', 'abandoned']) as each
 cross join lateral (select count(*) as count from amends.sagas as s where s.status = each) as found

-- name: rights
-- Whether this session has the role of the service, and whether its login may make schemas.
select current_user <> session_user as service,
       has_database_privilege(session_user, current_database(), 'create') as may_create

-- name: dbos
-- The newest of DBOS's migrations that was applied.
select coalesce(max(version), 0) as version from dbos.dbos_migrations
