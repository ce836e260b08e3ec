"""Sagas that sagas start."""

from migrations.amends.sql import statements

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    statements("0005_child_sagas.sql")
