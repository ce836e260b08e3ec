"""The store with the example's aggregates."""
