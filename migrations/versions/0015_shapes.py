"""The shapes and marks of what is stored, as every server notes them for all others."""

from migrations.sql import statements

revision = "0015"
down_revision = "0012"


def upgrade() -> None:
    statements("0015_shapes.sql")
