-- Appends outside sagas, answers kept with what they answer, snapshots, and feeds that survive a restore.

create table amends.generations (
    generation  int primary key,
    opened_at   timestamptz not null default clock_timestamp(),
    reason      text not null
);
comment on table amends.generations is 'A new one is opened when a backup was restored: transaction ids begin elsewhere then.';
insert into amends.generations (generation, reason) values (1, 'the beginning');

create table amends.snapshots (
    stream    text not null,
    code      text not null,
    version   int not null,
    state     jsonb not null,
    taken_at  timestamptz not null default clock_timestamp(),
    primary key (stream, code)
);
comment on table amends.snapshots is 'A cache: states of long streams, for one state of the code each. Delete it whenever you like.';
create index snapshots_taken_at on amends.snapshots (taken_at);
