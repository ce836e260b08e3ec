-- Whether no event of these types lies between two places, the second included, and none can come there any more.
create or replace function amends.nothing_between(
    p_types text[], p_generation int, p_transaction bigint, p_position bigint,
    p_to_generation int, p_to_transaction bigint, p_to_position bigint
) returns boolean language sql stable as $$
    select (p_generation, p_transaction, p_position) >= (p_to_generation, p_to_transaction, p_to_position)
        or ((p_to_transaction::text::xid8 < pg_snapshot_xmin(pg_current_snapshot())
             or p_to_generation < (select max(g.generation) from amends.generations as g))
            and not exists (
                select from unnest(p_types) as t (type)
                 cross join lateral (
                       (select e.generation, e.transaction_id, e.position from amends.events as e
                         where e.type = t.type and e.generation = p_generation
                           and (e.transaction_id, e.position) > (p_transaction::text::xid8, p_position)
                         order by e.generation, e.transaction_id, e.position limit 1)
                       union all
                       (select e.generation, e.transaction_id, e.position from amends.events as e
                         where e.type = t.type and e.generation > p_generation
                         order by e.generation, e.transaction_id, e.position limit 1)) as first
                 where (first.generation, first.transaction_id, first.position)
                       <= (p_to_generation, p_to_transaction::text::xid8, p_to_position)))
$$;
