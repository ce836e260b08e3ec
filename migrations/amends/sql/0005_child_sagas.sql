-- Sagas that sagas start: in the commit of a parent they are started and called back, in their own last commit they tell
-- how they ended.

alter table amends.sagas add column parent text;
comment on column amends.sagas.parent is 'The saga that started it and is told how it ended.';
create index sagas_parent on amends.sagas (parent) where parent is not null;

drop function if exists amends.start_saga(text, text, int, text, text, text, text, jsonb, text, text, interval);

drop function if exists amends.commit_step(text, text, jsonb, jsonb, jsonb, text, text, boolean, jsonb);
