"""What every store promises, in memory and in Postgres; and what DBOS and we promise each other."""
