"""The HTTP API, its guards and its document."""
