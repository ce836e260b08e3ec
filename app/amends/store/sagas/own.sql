-- name: begin
-- A transaction with SQL of a step's own, and whether it takes writes: what the step sets later does not count.
begin isolation level repeatable read;
show transaction_read_only

-- name: restore
-- A session as it was when it began, whatever a step has set, locked, listened to or left in it. Statements that were
-- prepared stay: psycopg knows them.
reset session authorization;
reset role;
reset all;
close all;
unlisten *;
discard temp;
discard sequences;
select pg_advisory_unlock_all()
