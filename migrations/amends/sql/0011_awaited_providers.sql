-- Sagas that wait for a provider that is down: rows that nobody runs, as for a signal, but their status stays what it was.

alter table amends.sagas add column provider text;
alter table amends.sagas add column provider_since timestamptz;
comment on column amends.sagas.provider is 'The provider that it waits for, or asks whether it is back.';
comment on column amends.sagas.provider_since is 'Since when it waits for that.';
alter table amends.sagas add column settled boolean not null default false;
alter table amends.sagas add column was_settled boolean not null default false;
comment on column amends.sagas.settled is
    'Nobody runs it, and whoever did last has left nothing behind that is not on record: no step is in doubt because of that.';
comment on column amends.sagas.was_settled is 'Whether that was so when it was claimed last.';
create index sagas_provider on amends.sagas (provider, since) include (provider_since)
    where provider is not null and status in ('running', 'compensating');
alter table amends.outages alter column waiting set default 0;
