"""Puts one process together, a server or a command: the store, the read models, the engine, and the API in front."""
