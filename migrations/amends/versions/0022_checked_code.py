"""Which code has been checked against the unfinished sagas: one server does that for all that have the same code."""

from migrations.amends.running import statements

revision = "0022"
down_revision = "0021"
oldest_server = "0020"
"""The oldest migration whose servers can work on what this one leaves; without this line it is this one itself."""


def upgrade() -> None:
    statements("0022_checked_code.sql")
