-- One append to streams that the caller has locked, all of it or nothing. Its outcomes are those of amends.append, and
-- different: an event with one of these ids stands in `stream`, and is another one; `digest` is its id, as for reused.
create or replace function amends.append_locked(
    p_events jsonb, p_expected jsonb, p_answer jsonb,
    out outcome text, out stream text, out expected int, out actual int, out place text, out digest text, out answer jsonb
) language plpgsql as $$
#variable_conflict use_column
declare
    v_ids uuid[];
    v_known int := 0;
    v_position bigint;
begin
    outcome := 'appended';
    if p_answer <> 'null' then
        select r.digest, r.answer into digest, answer from amends.requests as r where r.key = p_answer ->> 'key';
        if found then
            outcome := 'repeated';
            return;
        end if;
    end if;
    -- The same append again is known by its ends; one that is known in the middle only does not pass the unique index.
    if exists (select from amends.events as e
                where e.id in ((p_events -> 0 ->> 'id')::uuid, (p_events -> -1 ->> 'id')::uuid)) then
        select e.id::text, e.stream into digest, stream
          from jsonb_array_elements(p_events) as n join amends.events as e on e.id = (n.value ->> 'id')::uuid
         where (e.stream, e.type, e.schema_version) is distinct from
               (n.value ->> 'stream', n.value ->> 'type', (n.value ->> 'schema_version')::int)
            or e.data is distinct from n.value -> 'data'
         limit 1;
        if found then
            outcome := 'different';
            return;
        end if;
        v_ids := array(select (value ->> 'id')::uuid from jsonb_array_elements(p_events));
        select count(*), (array_agg(e.position order by e.generation desc, e.transaction_id desc, e.position desc))[1]
          into v_known, v_position from amends.events as e where e.id = any (v_ids);
        if v_known < cardinality(v_ids) then
            select e.id::text, e.stream into digest, stream from amends.events as e where e.id = any (v_ids) limit 1;
            outcome := 'reused';
            return;
        end if;
    end if;
    if v_known = 0 then
        if p_expected <> '{}' then
            select s.stream, s.expected, s.actual into stream, expected, actual from amends.stale_stream(p_expected) as s;
            if found then
                outcome := 'stale';
                return;
            end if;
        end if;
        if p_events = '[]' then
            select e.position into v_position from amends.events as e
             where e.stream in (select jsonb_object_keys(p_expected))
             order by e.generation desc, e.transaction_id desc, e.position desc limit 1;
        else
            v_position := amends.insert_events(p_events);
        end if;
    end if;
    place := amends.place_token(v_position);
    perform amends.keep_answer(nullif(p_answer, 'null'), place);
end $$;
