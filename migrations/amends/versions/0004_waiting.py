"""Sagas that wait for signals and for times."""

from migrations.amends.running import statements

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    statements("0004_waiting.sql")
