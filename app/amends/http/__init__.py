"""The HTTP API: requests become calls of the engine and the store, and errors become problems."""
