"""The names and types of a read model are checked before anything else, also where they are missing."""

from migrations.amends.sql import statements

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    statements("0016_names_of_read_models.sql")
