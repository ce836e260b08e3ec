"""The HTTP API: requests become calls of the engine and the store, errors become problems."""
