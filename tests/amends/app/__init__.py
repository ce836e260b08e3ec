"""The service: HTTP, command line, schema."""
