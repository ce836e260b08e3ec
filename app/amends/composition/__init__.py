"""The composition of one process, a server or a command: store, read models, engine, and the API in front."""
