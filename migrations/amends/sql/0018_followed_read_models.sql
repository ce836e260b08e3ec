-- Whether a read model is followed is decided by what its rows in amends.builds went through, and not by what they say: who
-- may write a lease can also write that there is none.

alter table amends.builds add column touched_at timestamptz not null default clock_timestamp();
comment on column amends.builds.touched_at is 'When this row was last written, whatever was written: nobody but the owner can say something else.';

create trigger builds_touched before update on amends.builds for each row execute function amends.note_touch();
