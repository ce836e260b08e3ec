grant usage on schema shop to amends_service;
grant select, insert on shop.reviews to amends_service;
