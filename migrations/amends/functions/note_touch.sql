-- Notes that a build was written, and lets no lease hold longer than a runner asks for
-- (workflows/amends/ports/projection_builds.py): who took a longer one would keep those who follow from writing. Whether a
-- read model is followed is decided by what its row went through, and not by what it says: who may write a lease can also
-- write that there is none.
create or replace function amends.note_touch() returns trigger language plpgsql as $$
begin
    if new.touched_at is not distinct from old.touched_at then
        new.touched_at := clock_timestamp();
    end if;
    new.lease_until := least(new.lease_until, clock_timestamp() + interval '10 s');
    return new;
end $$;
