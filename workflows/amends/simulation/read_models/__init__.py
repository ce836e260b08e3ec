"""The store of read models in memory: builds with their rows, leases by a clock that somebody moves, dead letters."""
