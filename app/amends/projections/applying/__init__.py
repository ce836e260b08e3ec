"""Applies pages of the feed to one build of a read model."""
