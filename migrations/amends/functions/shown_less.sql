-- The keys that one build shows less of than another one: they are set aside in it, and there not at all or later.
create or replace function amends.shown_less(p_name text, p_build int, p_than int) returns setof text language sql stable as $$
    select a.key from amends.set_aside as a
     where a.name = p_name and a.build = p_build
       and (select min(x.position) from amends.set_aside_events as x
             where x.name = p_name and x.build = p_build and x.digest = a.digest)
           < coalesce((select min(x.position) from amends.set_aside_events as x
                        where x.name = p_name and x.build = p_than and x.digest = a.digest), 9223372036854775807)
     order by a.since, a.key
$$;
