-- Lifts a brake, with its event. A commit that parks a saga at it holds its row, or sees that it was lifted.
-- outcome: lifted; missing (there is none); over (it was lifted before, by another request).
create or replace function amends.lift_brake(p_brake text, p_by text, p_reason text, p_events jsonb)
returns text language plpgsql as $$
declare
    v_brake amends.brakes;
begin
    perform amends.lock_streams(array['brake-' || p_brake]);
    if exists (select from amends.events where id = (p_events -> 0 ->> 'id')::uuid) then return 'lifted'; end if;
    select b.* into v_brake from amends.brakes as b where b.id = p_brake for update;
    if not found then return 'missing'; end if;
    if v_brake.lifted_at is not null then return 'over'; end if;
    update amends.brakes set lifted_at = clock_timestamp(), lifted_by = p_by, lifted_reason = p_reason where id = p_brake;
    perform amends.insert_events(p_events);
    return 'lifted';
end $$;
