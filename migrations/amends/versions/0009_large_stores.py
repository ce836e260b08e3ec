"""What is asked of one saga, one stream or one place is answered as quickly in a large store as in a small one."""

from migrations.amends.running import statements

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    statements("0009_large_stores.sql")
