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

-- name: errors
-- What these sagas, and those that they belong together with, met of errors with these names.
select wanted.id, coalesce(met.errors, '[]')::text
  from unnest(%s::text[]) as wanted (id)
  left join lateral (
      select jsonb_agg(distinct e.data -> 'error') as errors
        from (select kin.id from amends.sagas as s join amends.sagas as kin on kin.root = s.root where s.id = wanted.id
              union select wanted.id) as kin
        join amends.events as e on e.stream = 'saga-' || kin.id
       where e.data #>> '{error,name}' = any (%s::text[])) as met on true
