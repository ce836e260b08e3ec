-- Code that servers of this database had, and whether the unfinished sagas were checked against it.
create table amends.checked_code (
    code        text primary key,
    executor    text not null,
    claimed_at  timestamptz not null default clock_timestamp(),
    checked_at  timestamptz
);
comment on table amends.checked_code is 'Code that is or was served, by a digest of its files.';
comment on column amends.checked_code.executor is 'Who checks it, or has; another one does if that ends before it has.';
