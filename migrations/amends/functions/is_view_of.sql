-- Whether a relation is a view that reads a table of a read model, so that it is not one that somebody else has made.
create or replace function amends.is_view_of(p_view regclass, p_name text, p_build int default null) returns boolean
language sql stable as $$
    select exists (
        select from pg_class as c
          join pg_rewrite as r on r.ev_class = c.oid and r.rulename = '_RETURN'
          join pg_depend as d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
                             and d.refclassid = 'pg_class'::regclass
          join amends.builds as b on b.name = p_name and (p_build is null or b.build = p_build)
                                 and d.refobjid = to_regclass(format('views.%I', amends.build_table(b.name, b.build)))
         where c.oid = p_view and c.relkind = 'v')
$$;
