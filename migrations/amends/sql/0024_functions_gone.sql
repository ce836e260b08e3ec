-- What waits at a brake is held too: amends.is_held takes the place of this one.
drop function if exists amends.awaits_provider(text);
