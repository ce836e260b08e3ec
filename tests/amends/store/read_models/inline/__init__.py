"""Read models that are written in the commit that appends."""
