"""Acts on many sagas: what was asked for, the set that it was fixed to, and how far it has got."""

from migrations.amends.running import statements

revision = "0026"
down_revision = "0025"
oldest_server = "0020"


def upgrade() -> None:
    statements("0026_bulk_acts.sql")
