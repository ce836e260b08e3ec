-- History that went back is put on record, and places from before that lie beyond it are not vouched for any more.

create table amends.losses (
    id              bigint primary key,
    noticed_at      timestamptz not null default clock_timestamp(),
    noticed_by      text not null,
    run             bigint not null,
    generation      int not null,
    transaction_id  xid8 not null,
    position        bigint not null,
    events          int not null,
    first           text not null,
    last            text not null
);
comment on table amends.losses is
    'What servers have noticed to be gone when another run of the database server answered: at least so many events, from the '
    'first to the last of them, all of them after the last place that still stands. Several may have noticed the same.';
comment on column amends.losses.id is 'Microseconds since 1970 at which it was noted: places that were given out before may be gone.';
comment on column amends.losses.run is 'The run in which it was noticed.';
