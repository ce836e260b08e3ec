-- name: read
-- What servers have noted, without what has these digests.
select kind, name, version, shape::text, before from amends.shapes where digest <> all (%s::text[])

-- name: write
-- Note shapes; those that are there already stay.
insert into amends.shapes (kind, name, version, digest, shape, before)
select s.kind, s.name, s.version, s.digest, s.shape, s.before
  from jsonb_to_recordset(%s::jsonb) as s (kind text, name text, version text, digest text, shape jsonb, before text[])
    on conflict do nothing

-- name: sagas
-- Of which saga and version these are.
select id, name, version from amends.sagas where id = any (%s::text[])
