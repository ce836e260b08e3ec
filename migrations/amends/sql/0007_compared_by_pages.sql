-- Two tables of a read model are compared page by page: no statement is long, however many rows there are.
drop function if exists amends.compare_builds(text, int, int, int);
