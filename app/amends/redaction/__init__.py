"""Redaction: stored data as anybody may see it."""
