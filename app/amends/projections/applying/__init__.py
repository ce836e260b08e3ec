"""Applies pages of the feed to the table of one read model."""
