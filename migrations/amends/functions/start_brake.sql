-- The brake that holds the starts of a type of saga, one that refuses them first; null if there is none.
create or replace function amends.start_brake(p_name text, p_version int) returns amends.brakes language sql stable as $$
    select b from amends.brakes as b
     where b.lifted_at is null and b.step is null and b.provider is null
       and (b.name is null or b.name = p_name) and (b.version is null or b.version = p_version)
     order by b.starts <> 'refuse', b.set_at, b.id limit 1
$$;
