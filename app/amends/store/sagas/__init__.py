"""Sagas: started, claimed, committed to, released, shown, and the leases of their executors."""
