"""Sagas that sagas start."""

from migrations.amends.running import statements

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    statements("0005_child_sagas.sql")
