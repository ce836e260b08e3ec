"""Everything that speaks with Postgres, and the Postgres that comes with it."""
