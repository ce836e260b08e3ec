-- Events are immutable, for every role and in every session.
create or replace function amends.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'events are immutable: % of amends.events is not allowed', tg_op
        using errcode = 'restrict_violation', hint = 'Append an event that says what changed.';
end $$;
