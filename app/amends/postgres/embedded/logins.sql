-- name: known
-- Whether there is a role of this name.
select from pg_roles where rolname = %s

-- name: rights
-- What both may do; the superuser's own rights go to neither. The owner may look at and end sessions, and make databases.
alter role amends_owner createdb;
alter role amends_service nologin;
grant amends_service to amends_server;
grant amends_service to amends_owner with admin option;
grant pg_read_all_stats to amends_service;
grant pg_monitor, pg_signal_backend, pg_checkpoint to amends_owner

-- name: reset
-- No login is bound by what it, or somebody with its password, has set for all its sessions to come.
do $$
declare
    v_role text;
begin
    foreach v_role in array array['amends_owner', 'amends_server', 'amends_service'] loop
        execute format('alter role %I reset all', v_role);
        execute format('alter role %I in database %I reset all', v_role, current_database());
    end loop;
end $$

-- name: own
-- Everything that the superuser owns in this database, but for what is the server's own, is the owner's from now on.
do $$
declare
    v_statement text;
begin
    for v_statement in
        select format('alter database %I owner to amends_owner', d.datname)
          from pg_database as d where d.datname = current_database() and d.datdba = current_user::regrole
        union all
        select format('alter schema %I owner to amends_owner', n.nspname)
          from pg_namespace as n
         where n.nspowner = current_user::regrole and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
           and not exists (select from pg_depend as e where e.classid = 'pg_namespace'::regclass and e.objid = n.oid and e.deptype = 'e')
        union all
        select format('alter %s %s owner to amends_owner', case c.relkind when 'S' then 'sequence' else 'table' end, c.oid::regclass)
          from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
         where c.relowner = current_user::regrole and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
           and (c.relkind in ('r', 'p', 'v', 'm', 'f')
                or c.relkind = 'S' and not exists (select from pg_depend as o where o.classid = 'pg_class'::regclass
                                                    and o.objid = c.oid and o.deptype in ('a', 'i')))
           and not exists (select from pg_depend as e where e.classid = 'pg_class'::regclass and e.objid = c.oid and e.deptype = 'e')
        union all
        select format('alter type %s owner to amends_owner', t.oid::regtype)
          from pg_type as t join pg_namespace as n on n.oid = t.typnamespace
         where t.typowner = current_user::regrole and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
           and (t.typtype in ('e', 'd', 'r') or exists (select from pg_class as c where c.oid = t.typrelid and c.relkind = 'c'))
           and not exists (select from pg_depend as e where e.classid = 'pg_type'::regclass and e.objid = t.oid and e.deptype = 'e')
        union all
        select format('alter routine %s owner to amends_owner', p.oid::regprocedure)
          from pg_proc as p join pg_namespace as n on n.oid = p.pronamespace
         where p.proowner = current_user::regrole and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
           and not exists (select from pg_depend as e where e.classid = 'pg_proc'::regclass and e.objid = p.oid and e.deptype in ('e', 'i'))
    loop
        execute v_statement;
    end loop;
end $$
