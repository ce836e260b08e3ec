-- Why sagas were suspended or compensated, and who started them: what lists and groups of many are made by.

create table amends.causes (
    id        text primary key,
    kind      text not null check (kind in ('stuck', 'stranded', 'abandoned', 'provider', 'compensating')),
    name      text not null,
    version   int not null,
    step      text,
    provider  text,
    error     text,
    first_at  timestamptz not null default clock_timestamp()
);
comment on table amends.causes is 'What sagas that were suspended or compensated have in common.';
comment on column amends.causes.error is 'The error without its variable parts; of a compensation, its type alone.';
create index causes_step on amends.causes (name, version, step);

alter table amends.sagas add column cause text;
alter table amends.sagas add column compensation_cause text;
alter table amends.sagas add column actor text;
comment on column amends.sagas.cause is 'Why it is suspended, as long as it is.';
comment on column amends.sagas.compensation_cause is 'Why it is or was compensated.';
comment on column amends.sagas.actor is 'Who started it.';

-- Of what is suspended already nothing more is known than how it stands.
insert into amends.causes (id, kind, name, version, provider)
select distinct amends.cause_id(s.kind, s.name, s.version, null, s.provider, null), s.kind, s.name, s.version, s.provider
  from (select name, version, status as kind, null as provider from amends.sagas
         where status in ('stuck', 'stranded', 'abandoned')
        union
        select name, version, 'provider', provider from amends.sagas
         where provider is not null and status in ('running', 'compensating')) as s;

-- All rows are written anew, which is quicker without indexes, even if these are made again.
do '
declare
    v_index record;
    v_again text[] := ''{}'';
begin
    for v_index in select i.indexrelid::regclass as name, pg_get_indexdef(i.indexrelid) as definition from pg_index as i
                    where i.indrelid = ''amends.sagas''::regclass
                      and not exists (select from pg_constraint as k where k.conindid = i.indexrelid) loop
        v_again := v_again || v_index.definition;
        execute format(''drop index %s'', v_index.name);
    end loop;
    update amends.sagas as s
       set actor = (select e.metadata ->> ''actor'' from amends.events as e where e.stream = ''saga-'' || s.id and e.version = 1),
           cause = (select c.id from amends.causes as c
                     where c.name = s.name and c.version = s.version
                       and case when s.status in (''running'', ''compensating'') then c.provider = s.provider
                                else c.kind = s.status end);
    for v_index in select unnest(v_again) as definition loop
        execute v_index.definition;
    end loop;
end';

-- Whole lists, newest first, by what they are filtered by; what has no cause is in no index of causes.
create index sagas_version on amends.sagas (version, name, started_at desc, id desc);
create index sagas_actor on amends.sagas (actor, started_at desc, id desc);
create index sagas_cause on amends.sagas ((coalesce(cause, compensation_cause)), started_at desc, id desc)
 where coalesce(cause, compensation_cause) is not null;

-- What needs a person, and what waits for a provider, by cause.
create index sagas_suspended on amends.sagas (cause, since, id) where status in ('stuck', 'stranded', 'abandoned');
create index sagas_awaiting on amends.sagas (cause, provider_since, id)
 where provider is not null and status in ('running', 'compensating');
