"""Which executors ran a saga, from when to when, and why each left it; and what is queued and waits is counted."""

from migrations.amends.running import statements

revision = "0025"
down_revision = "0024"
oldest_server = "0020"


def upgrade() -> None:
    statements("0025_executions.sql")
