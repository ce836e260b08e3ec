"""The order in which events are given is their order in the feed, and an id stands for one event."""

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Changes functions alone: those that are in force are in migrations/amends/functions."""
