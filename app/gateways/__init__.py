"""The other systems, as the sagas need them: their ports, over HTTP."""
