-- name: durability
-- What the server promises, to this very session, and its clock in seconds of Unix time.
select current_setting('server_version') as version, session_user::text as login, pg_is_in_recovery() as standby,
       current_setting('transaction_read_only') = 'on' as read_only, current_setting('fsync') as fsync,
       current_setting('full_page_writes') as full_page_writes, s.setting as synchronous_commit,
       s.source as synchronous_commit_source, extract(epoch from clock_timestamp())::float8 as clock
  from pg_settings as s where s.name = 'synchronous_commit'

-- name: clock
-- The server's clock in seconds of Unix time.
select extract(epoch from clock_timestamp())::float8 as clock
