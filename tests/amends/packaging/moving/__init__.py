"""Code on an earlier state, moved to the names of today."""
