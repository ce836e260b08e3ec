"""A test-mode provider: payments, stock and couriers that behave as they are told to, over real HTTP."""
