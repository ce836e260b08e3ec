"""Fixtures of these tests."""

from tests.databases import postgres_18

__all__ = ["postgres_18"]
