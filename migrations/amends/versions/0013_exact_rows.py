"""Numeric columns of read models are read exactly."""

from migrations.amends.running import statements

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    statements("0013_exact_rows.sql")
