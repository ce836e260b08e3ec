-- The id of a cause: a digest of all that is said of it, as Python makes it too (workflows/amends/causes/failure_cause.py).
create or replace function amends.cause_id(p_kind text, p_name text, p_version int, p_step text, p_provider text, p_error text)
returns text language sql immutable as $$
    select 'c-' || left(encode(sha256(convert_to(concat_ws(chr(31), p_kind, p_name, p_version::text, coalesce(p_step, ''),
                                                           coalesce(p_provider, ''), coalesce(p_error, '')), 'UTF8')), 'hex'), 12)
$$;
