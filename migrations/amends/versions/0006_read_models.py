"""Read models that are built beside the live one."""

from migrations.amends.running import statements

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    statements("0006_read_models.sql")
