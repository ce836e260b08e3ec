"""Sagas whose rows somebody has locked keep no others from being handed over."""

from migrations.amends.sql import statements

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    statements("0010_locked_rows.sql")
