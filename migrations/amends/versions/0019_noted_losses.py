"""History that went back is put on record, and places beyond it are not vouched for any more."""

from migrations.amends.running import statements

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    statements("0019_noted_losses.sql")
