"""Acts on many sagas: what was asked for, the set that it was fixed to, and how far it has got."""

from migrations.amends.running import statements

revision = "0024"
down_revision = "0023"
oldest_server = "0020"


def upgrade() -> None:
    statements("0024_bulk_acts.sql")
