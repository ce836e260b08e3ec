-- Keeps the cause of a suspension or a compensation, {"kind", "step", "provider", "error"}, and answers with its id; null if
-- there is none. What is suspended without one, by a server that tells none, has a cause that says nothing but how it stands.
-- So many causes of one step of one version are told apart; a further one is one of its other errors. The caller holds the
-- saga's lock.
create or replace function amends.note_cause(p_saga text, p_status text, p_provider text, p_cause jsonb) returns text
language plpgsql as $$
declare
    v_saga amends.sagas;
    v_cause amends.causes;
begin
    v_cause.kind := coalesce(p_cause ->> 'kind', case when p_status in ('stuck', 'stranded', 'abandoned') then p_status
                                                      when p_provider is not null then 'provider' end);
    if v_cause.kind is null then return null; end if;
    select s.* into v_saga from amends.sagas as s where s.id = p_saga;
    if not found then return null; end if;
    v_cause.step := p_cause ->> 'step';
    v_cause.provider := case when p_cause is null then p_provider else p_cause ->> 'provider' end;
    v_cause.error := p_cause ->> 'error';
    v_cause.id := amends.cause_id(v_cause.kind, v_saga.name, v_saga.version, v_cause.step, v_cause.provider, v_cause.error);
    if exists (select from amends.causes as c where c.id = v_cause.id) then return v_cause.id; end if;
    if (select count(*) from amends.causes as c where c.name = v_saga.name and c.version = v_saga.version
           and c.step is not distinct from v_cause.step) >= 100 then
        v_cause.provider := null;
        v_cause.error := 'other errors';
        v_cause.id := amends.cause_id(v_cause.kind, v_saga.name, v_saga.version, v_cause.step, null, v_cause.error);
    end if;
    insert into amends.causes (id, kind, name, version, step, provider, error)
    values (v_cause.id, v_cause.kind, v_saga.name, v_saga.version, v_cause.step, v_cause.provider, v_cause.error)
    on conflict (id) do nothing;
    return v_cause.id;
end $$;
