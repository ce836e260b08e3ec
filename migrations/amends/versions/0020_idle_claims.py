"""Whoever finds nothing to claim writes nothing, and a claim keeps no heartbeat waiting."""

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Changes functions alone: those that are in force are in migrations/amends/functions."""
