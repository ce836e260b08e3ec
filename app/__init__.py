"""The service: the store, the gateways, the HTTP API, and the composition root that joins them."""
