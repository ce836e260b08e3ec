"""The database before it is used: which one, whether it is fit, and brought up to date."""
