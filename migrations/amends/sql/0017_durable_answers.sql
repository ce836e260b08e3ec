-- What a commit was answered is durable, and a run of the database has a name (migration 0019 makes places of it).

create table amends.runs (
    id                 bigint primary key,
    server             text not null,
    generation         int not null,
    first_transaction  xid8 not null,
    noted_at           timestamptz not null
);
comment on table amends.runs is
    'Runs of the database server, in their order: what a server writes after a start has the first transaction of a run or a '
    'later one. History goes back between two runs only: by a failover, a crash without synchronous_commit, a copy put back.';
comment on column amends.runs.id is 'Microseconds since 1970 at which it was noted.';
comment on column amends.runs.server is 'System identifier, timeline, start of the server, and its last crash.';

drop function if exists amends.commit_step(text, text, jsonb, jsonb, jsonb, text, text, boolean, jsonb, jsonb);
