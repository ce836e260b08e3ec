"""The process of a server: it listens, serves, survives code of sagas, and ends in time."""
