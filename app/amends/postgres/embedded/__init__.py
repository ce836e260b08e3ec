"""An embedded Postgres for machines that have none."""
