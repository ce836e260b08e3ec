"""The sagas: started, claimed, committed to, released and shown, and the lease of those who run them."""
