"""The names and types of a read model are checked before anything else, also where they are missing."""

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Changes functions alone: those that are in force are in migrations/amends/functions."""
