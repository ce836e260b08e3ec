"""Projects on Amends: a new one from templates, and another version for one that is there."""
