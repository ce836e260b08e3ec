"""What both contestants are given: the same numbers of events, in accounts of the same lengths."""

from __future__ import annotations

FEED = 200_000
"""Events of the feed that is read."""

ACCOUNTS, EVENTS_BEFORE = 320, 10
"""How many accounts the writers share when they decide, and how many events each has at first."""

LENGTHS, LONGEST = (10, 1000), 100_000
"""The lengths of the accounts that are loaded, and of one that only Amends is asked for."""


def loaded(length: int) -> str:
    """The key of the account that has so many events."""
    return f"of-{length}-events"
