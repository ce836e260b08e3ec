-- name: answer
-- What was answered under a key.
select digest, answer from amends.requests where key = %s
