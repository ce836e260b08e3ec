"""Whether a read model is followed is decided by what the service cannot write."""

from migrations.amends.running import functions, statements

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    functions("note_touch")
    statements("0018_followed_read_models.sql")
