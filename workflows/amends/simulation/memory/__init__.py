"""The store in memory: events, sagas, their queue and their executors, as Postgres has them, without surviving."""
