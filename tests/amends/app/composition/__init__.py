"""The composition of a service, without a database."""
