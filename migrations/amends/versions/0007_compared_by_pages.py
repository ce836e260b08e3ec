"""Two tables of a read model are compared page by page."""

from migrations.amends.running import statements

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    statements("0007_compared_by_pages.sql")
