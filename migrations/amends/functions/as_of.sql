-- How far it is on record what the database has lost: the newest run or loss that was noted. A place that was given out later
-- vouches for nothing that was lost before; one that was given out before it was noted is looked at again.
create or replace function amends.as_of() returns bigint language sql stable as $$
    select greatest(coalesce((select max(r.id) from amends.runs as r), 0), coalesce((select max(l.id) from amends.losses as l), 0))
$$;
