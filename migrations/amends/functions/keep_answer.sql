-- Keeps the answer {"key", "digest", "body"} to a request, with the place that it reached.
create or replace function amends.keep_answer(p_answer jsonb, p_place text) returns void language plpgsql as $$
begin
    if p_answer is not null then
        insert into amends.requests (key, digest, answer)
        values (p_answer ->> 'key', p_answer ->> 'digest',
                (p_answer -> 'body') || jsonb_build_object('position', p_place));
    end if;
end $$;
