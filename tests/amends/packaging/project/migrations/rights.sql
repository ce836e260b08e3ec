-- What the service may do with the shop's tables.
grant usage on schema shop to amends_service;
grant select, insert (sale, note) on shop.notes to amends_service;
