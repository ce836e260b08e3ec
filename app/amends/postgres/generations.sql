-- name: newest
-- Whether events of this generation claim transaction ids that this server has not given out yet.
select max(e.transaction_id::text::numeric) >= pg_snapshot_xmax(pg_current_snapshot())::text::numeric as ahead
  from (select transaction_id from amends.events as x
         where generation = (select max(generation) from amends.generations)
         order by generation desc, x.transaction_id desc, position desc limit 1) as e
