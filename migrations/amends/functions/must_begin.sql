-- Whether a saga that has not begun begins whatever holds it: it is to be cancelled, or its deadline is over.
create or replace function amends.must_begin(p_saga amends.sagas) returns boolean language sql stable as $$
    select p_saga.cancel_reason is not null or coalesce(p_saga.deadline_at <= clock_timestamp(), false)
$$;
