"""The shapes and marks of what is stored, as every server notes them for all others."""

from migrations.amends.running import statements

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    statements("0014_shapes.sql")
