"""Leases that are lost, and servers that sleep or are asked to stop."""
