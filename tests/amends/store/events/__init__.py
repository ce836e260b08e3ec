"""Appends, the feed and history."""
