"""The service: store, read models, HTTP API and command line, put together around the data that a team gives."""
