-- Gives a table or a view the rights on another one, as a whole and by column, with the right to pass them on.
create or replace function amends.copy_grants(p_from regclass, p_to regclass) returns void language plpgsql as $$
declare
    v_from pg_class;
    v_to pg_class;
    v_each record;
begin
    select c.* into v_from from pg_class as c where c.oid = p_from;
    select c.* into v_to from pg_class as c where c.oid = p_to;
    for v_each in
        select g.grantee from aclexplode(coalesce(v_to.relacl, acldefault('r', v_to.relowner))) as g
        union select g.grantee from pg_attribute as a cross join aclexplode(a.attacl) as g where a.attrelid = p_to
    loop
        execute format('revoke all on %s from %s cascade', p_to, amends.role_named(v_each.grantee));
    end loop;
    for v_each in
        select '' as in_column, g.* from aclexplode(coalesce(v_from.relacl, acldefault('r', v_from.relowner))) as g
        union all
        select format('(%I)', a.attname), g.* from pg_attribute as a cross join aclexplode(a.attacl) as g
         where a.attrelid = p_from and not a.attisdropped
           and exists (select from pg_attribute as t
                        where t.attrelid = p_to and t.attname = a.attname and not t.attisdropped)
    loop
        execute format('grant %s %s on %s to %s%s', v_each.privilege_type, v_each.in_column, p_to,
                       amends.role_named(v_each.grantee),
                       case when v_each.is_grantable then ' with grant option' else '' end);
    end loop;
end $$;
