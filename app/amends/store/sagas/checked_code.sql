-- name: is_checked
-- Whether the unfinished sagas were checked against this code.
select exists (select from amends.checked_code where code = %s and checked_at is not null)

-- name: claim
-- Whether this executor is to check code: nobody has, and nobody who lives does.
insert into amends.checked_code as c (code, executor) values (%(code)s, %(executor)s)
on conflict (code) do update set executor = excluded.executor, claimed_at = clock_timestamp()
 where c.checked_at is null
   and (c.executor = excluded.executor
        or not exists (select from amends.executors as x where x.id = c.executor and x.ended_at is null))
returning code

-- name: note_checked
-- The check was made, or cannot be.
update amends.checked_code set checked_at = clock_timestamp() where code = %s
