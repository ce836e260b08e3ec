-- name: run
-- Which run of a server answers, null of a standby, and whether events claim transaction ids that it has not given out yet.
select case when pg_is_in_recovery() then null else amends.this_run() end,
       (select newest.transaction_id >= pg_snapshot_xmax(pg_current_snapshot())
          from (select e.transaction_id from amends.events as e
                 where e.generation = (select max(g.generation) from amends.generations as g)
                 order by e.generation desc, e.transaction_id desc, e.position desc limit 1) as newest)
