"""What was applied last, and which servers it lets run."""

from migrations.amends.running import statements

revision = "0021"
down_revision = "0020"
oldest_server = "0020"
"""The oldest migration whose servers can work on what this one leaves; without this line it is this one itself."""


def upgrade() -> None:
    statements("0021_schema_state.sql")
