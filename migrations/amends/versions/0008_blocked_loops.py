"""Whose code blocks the event loop of its server is on record, also when that server does not survive it."""

from migrations.amends.running import statements

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    statements("0008_blocked_loops.sql")
