"""The books of the test-mode provider."""

from migrations.sql import statements

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    statements("0002_sandbox.sql")
