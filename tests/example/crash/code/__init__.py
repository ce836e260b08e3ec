"""Code of sagas that blocks, or does the worst."""
