"""Executors, leases, providers and threads of one server."""
