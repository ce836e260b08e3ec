"""Sagas whose rows somebody has locked keep no others from being handed over."""

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Changes functions alone: those that are in force are in migrations/amends/functions."""
