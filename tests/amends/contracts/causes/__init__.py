"""Causes of suspensions and compensations, as every store keeps them."""
