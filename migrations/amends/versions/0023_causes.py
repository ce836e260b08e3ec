"""Why sagas were suspended or compensated, and who started them: what lists and groups of many are made by."""

from migrations.amends.running import functions, statements

revision = "0023"
down_revision = "0022"
oldest_server = "0020"


def upgrade() -> None:
    functions("cause_id")
    statements("0023_causes.sql")
