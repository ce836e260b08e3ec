"""The engine and the sagas, in milliseconds."""
