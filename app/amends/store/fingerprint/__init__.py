"""Which code a fold consists of: a snapshot of other code is not used."""
