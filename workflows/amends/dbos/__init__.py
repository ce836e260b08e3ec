"""Sagas on DBOS: this package alone knows it, and of it only `runtime` imports it."""
