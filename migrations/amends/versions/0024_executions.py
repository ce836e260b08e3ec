"""Which executors ran a saga, from when to when, and why each left it; and what is queued and waits is counted."""

from migrations.amends.running import statements

revision = "0024"
down_revision = "0023"
oldest_server = "0020"


def upgrade() -> None:
    statements("0024_executions.sql")
