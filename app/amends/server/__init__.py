"""A server's process: it listens, serves, goes on whatever code of sagas raises, and ends in time."""
