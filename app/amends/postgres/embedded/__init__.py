"""A Postgres of our own for machines that have none."""
