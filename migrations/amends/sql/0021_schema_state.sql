-- What was applied last, and which servers it lets run: asked by a server that starts.

create table amends.schema_state (
    revision    text primary key,
    oldest      text not null,
    applied     text not null,
    applied_at  timestamptz not null default clock_timestamp()
);
comment on table amends.schema_state is 'The newest migration of each branch: Amends'' own, and the project''s.';
comment on column amends.schema_state.oldest is 'Servers that know this migration can work on the database, also if they know no later one.';
comment on column amends.schema_state.applied is 'A digest of the functions and rights that were applied with it.';

-- Only servers from before migration 0015 called these.
drop function if exists amends.try_row(text, int, json);
drop function if exists amends.write_build(
    text, int, text, interval, bigint[], bigint[], bigint, json, text[], text[], jsonb, boolean);
