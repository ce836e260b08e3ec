"""The store, on real Postgres servers."""
