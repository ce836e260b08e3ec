"""The store: events and their feed, aggregates, sagas, idempotent requests, and the shapes that servers note for each
other."""
