-- name: answer
-- What was answered under a key; that is as durable then as it was when it was answered first.
select digest, answer from amends.requests where key = %s and amends.durable()
