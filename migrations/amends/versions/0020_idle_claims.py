"""Whoever finds nothing to claim writes nothing, and a claim keeps no heartbeat waiting."""

from migrations.amends.sql import statements

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    statements("0020_idle_claims.sql")
