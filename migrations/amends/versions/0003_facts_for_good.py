"""Appends outside sagas, kept answers, snapshots, and generations of the feed."""

from migrations.amends.running import statements

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    statements("0003_facts_for_good.sql")
