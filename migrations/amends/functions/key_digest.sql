-- What stands for a key in an index: a key may be longer than an index takes.
create or replace function amends.key_digest(p_key text) returns bytea language sql immutable strict parallel safe as $$
    select sha256(convert_to(p_key, 'UTF8'))
$$;
