"""Clients for gateways to other systems."""
