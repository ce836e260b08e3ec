-- name: answer
-- What was answered under a key.
select digest, answer from amends.requests where key = %s

-- name: remember
-- Keep an answer; if another one was quicker, that one counts.
insert into amends.requests as r (key, digest, answer) values (%s, %s, %s::jsonb)
on conflict (key) do update set key = r.key
returning r.digest, r.answer
