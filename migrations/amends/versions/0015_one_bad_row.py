"""A bad row stops one key, a rebuild keeps what was skipped, and a promotion keeps what others may do with the view."""

from migrations.amends.running import functions, statements

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    functions("key_digest")
    statements("0015_one_bad_row.sql")
